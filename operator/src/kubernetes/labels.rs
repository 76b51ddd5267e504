//! Labels and annotations, in one place.

/// Names the operator as maker; every watch of made objects is narrowed by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by=easycode-operator";
/// Label: the platform an object belongs to, or a tenant was placed on.
pub const PLATFORM: &str = "easycode.io/platform";
/// Label: the dedicated instance an object belongs to, or a tenant was placed on.
pub const INSTANCE: &str = "easycode.io/instance";
/// Label: the tenant an object belongs to.
pub const TENANT: &str = easycode_contract::runtime::TENANT_LABEL;
/// Label: the service an object belongs to.
pub const SERVICE: &str = "easycode.io/service";
/// Label: the version of the release that an object was planned from.
pub const VERSION: &str = "app.kubernetes.io/version";
/// Finalizer of tenants and platforms.
pub const FINALIZER: &str = "easycode.io/operator";
/// Annotation: confirms a deletion by the object's own name.
pub const CONFIRM_DELETE: &str = "easycode.io/confirm-delete";
/// Annotation: the person behind the change that it comes with, as a console knows them. Who sets it once must set it with
/// each change: one that is left from an earlier change of the same program can't be told apart.
pub const CHANGED_BY: &str = "easycode.io/changed-by";
/// Annotation: adopts the retained data of a deleted tenant; its value is that tenant's uid, or [`UNREGISTERED`].
pub const UNDELETE: &str = "easycode.io/undelete";
/// Stands for the uid of data whose entry in the registry is lost.
pub const UNREGISTERED: &str = "unregistered";
/// Annotation: begins anew with an empty schema for services whose data is gone; its value names them, with commas.
pub const RECREATE_DATA: &str = "easycode.io/recreate-data";
/// Annotation of a platform: asks that a pending rendering be applied now; its value is free, say a ticket.
pub const APPLY_PENDING: &str = "easycode.io/apply-pending";
/// Annotation of a stack's namespace: the release that is, or was last, rolled out in it.
pub const RELEASE: &str = "easycode.io/release";
/// Annotation of a workload: hash of what its plan was made from.
pub const INPUTS: &str = "easycode.io/inputs";
/// Annotation of a workload: the rendering that was applied, as JSON.
pub const RENDERED: &str = "easycode.io/rendered";
/// Annotation of an object of another project's kind: hash of what was planned.
pub const PLANNED: &str = "easycode.io/planned";
/// Annotation of a platform or an instance: asks that its isolation be tried now; its value is free.
pub const PROBE_ISOLATION: &str = "easycode.io/probe-isolation";
/// Annotation of the Secret with Postgres' certificate: until when that is valid.
pub const EXPIRES: &str = "easycode.io/expires";
/// Annotation of the same: since when the next certificate is made known to clients.
pub const PREPARED: &str = "easycode.io/next-prepared";
/// Annotation of a platform or an instance: asks for new credentials for the database; its value is free. Also on each Secret
/// of a login, with the value that was served last.
pub const ROTATE_CREDENTIALS: &str = "easycode.io/rotate-credentials";
/// Annotation of the Secret of a login: since when it holds what it holds.
pub const ROTATED: &str = "easycode.io/rotated-at";
/// Annotation of the Job of a move: the login that it was given for the copy.
pub const COPY_LOGIN: &str = "easycode.io/copy-login";
/// Annotation of the Secret of a login: the generation of the rules by which the password is handed out.
pub const LOGIN_GENERATION: &str = "easycode.io/login-generation";
