"""May this request run?"""
