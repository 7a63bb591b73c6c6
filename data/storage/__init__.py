"""Store named objects that are written whole: on local disk, later in an object store."""
