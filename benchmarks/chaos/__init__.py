"""What clients notice when providers fail: real router processes, a real lab, planted faults."""
