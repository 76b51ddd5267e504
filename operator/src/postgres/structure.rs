//! The structure of a tenant's schema, compared with what the migrations here make. A copy brings what its source calls tables,
//! triggers and functions, and a client with a Postgres of its own chooses these: run as a service's login, which may act as
//! every tenant of a home, they would act as any of them.

use std::collections::BTreeMap;

use easycode_contract::database::Identifier;
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};

use super::{Database, Error, statements::literal};

/// Every object of a schema, with its definition, its owner and who may use it: what another tenant may change, it could change later. Constraints that say `NOT NULL` are told with their columns.
const STRUCTURE: &str = "
    WITH home AS (SELECT oid FROM pg_namespace WHERE nspname = $1),
    relation AS (SELECT c.* FROM pg_class c JOIN home ON home.oid = c.relnamespace)
    SELECT pg_describe_object(d.classid, d.objid, 0) AS name, '' AS definition
    FROM pg_depend d JOIN home ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = home.oid
    WHERE d.objsubid = 0 AND NOT (d.classid = 'pg_constraint'::regclass
        AND EXISTS (SELECT FROM pg_constraint n WHERE n.oid = d.objid AND n.contype = 'n'))
    UNION ALL
    SELECT 'schema', format('%s %s', nspowner::regrole, (SELECT string_agg(a::text, ' ' ORDER BY a::text)
        FROM unnest(coalesce(nspacl, acldefault('n', nspowner))) a))
    FROM pg_namespace WHERE nspname = $1
    UNION ALL
    SELECT 'default rights', d.defaclacl::text
    FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole WHERE r.rolname = $1
    UNION ALL
    SELECT format('relation %s', relname),
        format('%s %s %s %s %s %s %s', relkind, relpersistence, relrowsecurity, relforcerowsecurity, coalesce(reloptions::text, ''),
            relowner::regrole, (SELECT string_agg(a::text, ' ' ORDER BY a::text)
                FROM unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))) a))
    FROM relation WHERE relkind NOT IN ('i', 'I')
    UNION ALL
    SELECT format('column %s.%s', r.relname, a.attname),
        format('%s %s %s %s %s %s %s', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
            a.attcollation, coalesce(pg_get_expr(e.adbin, e.adrelid), ''), coalesce(a.attacl::text, ''))
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef e ON e.adrelid = r.oid AND e.adnum = a.attnum WHERE r.relkind NOT IN ('i', 'I')
    UNION ALL
    SELECT format('constraint %s of %s', k.conname, coalesce(nullif(k.conrelid, 0)::regclass::text, k.contypid::regtype::text)),
        pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN home ON home.oid = k.connamespace WHERE k.contype <> 'n'
    UNION ALL
    SELECT format('index %s', r.relname), pg_get_indexdef(r.oid) FROM relation r WHERE r.relkind IN ('i', 'I')
    UNION ALL
    SELECT format('trigger %s of %s', t.tgname, r.relname), format('%s %s', t.tgenabled, pg_get_triggerdef(t.oid))
    FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT format('rule %s of %s', w.rulename, r.relname), format('%s %s', w.ev_enabled, pg_get_ruledef(w.oid))
    FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
    UNION ALL
    SELECT format('policy %s of %s', p.polname, r.relname),
        format('%s %s %s %s %s', p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT format('function %s', p.oid::regprocedure),
        format('%s %s %s', CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END, p.proowner::regrole,
            (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a))
    FROM pg_proc p JOIN home ON home.oid = p.pronamespace
    UNION ALL
    SELECT format('type %s', t.oid::regtype), format('%s %s %s %s %s', t.typtype, t.typnotnull, coalesce(t.typdefault, ''),
        t.typowner::regrole, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) a))
    FROM pg_type t JOIN home ON home.oid = t.typnamespace
    UNION ALL
    SELECT format('cast from %s to %s', c.castsource::regtype, c.casttarget::regtype), c.castfunc::regprocedure::text
    FROM pg_cast c JOIN pg_type t ON t.oid IN (c.castsource, c.casttarget) JOIN home ON home.oid = t.typnamespace
    ORDER BY 1, 2";

/// Definitions by object.
type Structure = BTreeMap<String, String>;

impl Database {
    /// The first object of a tenant's schema that is not as the published migrations of the service make it, if there is one.
    /// Nothing in the schema is run or changed.
    pub async fn foreign_structure(&self, service: &str, role: &Identifier) -> Result<Option<String>, Error> {
        let mut transaction = self.service(service)?.begin().await?;
        let present = read(&mut transaction, role).await?;
        // Made anew for the comparison, and rolled back.
        raw_sql(AssertSqlSafe(format!(
            "SET LOCAL ROLE {role}; DROP SCHEMA {role} CASCADE; SET LOCAL ROLE NONE; SELECT easycode.migrate({})",
            literal(role.as_str())
        )))
        .execute(&mut *transaction)
        .await?;
        let reference = read(&mut transaction, role).await?;
        transaction.rollback().await?;
        Ok(difference(&present, &reference))
    }
}

async fn read(connection: &mut PgConnection, role: &Identifier) -> Result<Structure, Error> {
    raw_sql("SET LOCAL search_path = ''").execute(&mut *connection).await?;
    let objects: Vec<(String, String)> =
        sqlx::query_as(STRUCTURE).bind(role.as_str()).fetch_all(&mut *connection).await?;
    let mut structure = Structure::new();
    for (name, definition) in objects {
        structure.entry(name).or_default().push_str(&definition);
    }
    Ok(structure)
}

/// The first object in which two structures differ.
fn difference(present: &Structure, reference: &Structure) -> Option<String> {
    let names = present.keys().chain(reference.keys());
    names.into_iter().find(|name| present.get(*name) != reference.get(*name)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(objects: &[(&str, &str)]) -> Structure {
        objects.iter().map(|(name, definition)| ((*name).to_owned(), (*definition).to_owned())).collect()
    }

    #[test]
    fn an_object_more_or_less_or_of_another_kind_is_a_difference() {
        let reference = structure(&[("column a", "text"), ("index b", "unique")]);
        assert_eq!(difference(&reference, &reference), None);
        let more = structure(&[("column a", "text"), ("index b", "unique"), ("trigger c", "")]);
        assert_eq!(difference(&more, &reference).as_deref(), Some("trigger c"));
        assert_eq!(difference(&structure(&[("column a", "text")]), &reference).as_deref(), Some("index b"));
        let other = structure(&[("column a", "text DEFAULT set_config()"), ("index b", "unique")]);
        assert_eq!(difference(&other, &reference).as_deref(), Some("column a"));
    }
}
