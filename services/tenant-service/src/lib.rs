//! Serves the contexts of a platform's tenants.
