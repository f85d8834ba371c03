"""What must be fetched or built before its metadata can be read: folders, sdists, files at addresses."""
