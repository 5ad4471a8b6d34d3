"""Who calls: tenants, and later their keys and quotas."""
