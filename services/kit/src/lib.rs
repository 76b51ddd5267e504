//! What every service of the platform needs: token, context, guard, the tenant's transaction.
