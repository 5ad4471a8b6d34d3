"""What a template is, and how the image that its sandboxes run is built."""
