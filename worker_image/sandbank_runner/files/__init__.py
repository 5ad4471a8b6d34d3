"""Files of the workspace: a helper process serves one request, the supervisor translates."""
