//! What holds for the plan of any tenant.

use std::collections::BTreeSet;

use easycode_contract::{
    context::{TenantContext, TenantState},
    database::Identifier,
    runtime,
};
use easycode_crds::{Tenant, tenant::State};
use easycode_operator::{
    kubernetes::{labels, object::Kind},
    postgres::plan::{Step, outcome},
    tenant::{
        observe::Observed,
        plan::{Plan, plan},
    },
};
use kube::ResourceExt;
use proptest::prelude::*;

use crate::arbitrary::{NOW, name, situation};

/// A tenant of any name in any situation.
fn anyone() -> impl Strategy<Value = (Tenant, Observed)> {
    name(40).prop_flat_map(situation)
}

/// Two tenants of different names, each in a situation of its own.
fn two() -> impl Strategy<Value = [(Tenant, Observed); 2]> {
    (name(40), name(40))
        .prop_filter("two names", |(one, other)| one != other)
        .prop_flat_map(|(one, other)| [situation(one).boxed(), situation(other).boxed()])
}

/// What is observed after a plan was carried out.
fn carried_out(observed: &Observed, plan: &Plan) -> Observed {
    let mut after = observed.clone();
    if let Some(database) = &mut after.database {
        database.tenant = outcome(&database.tenant, &plan.steps, &database.published, NOW);
    }
    after
}

fn context(plan: &Plan) -> Option<TenantContext> {
    let document = &plan.config_map.as_ref()?.body["data"][runtime::CONTEXT_KEY];
    Some(serde_json::from_str(document.as_str().unwrap()).unwrap())
}

/// Every name of a tenant's role in a text: `t_` and what a bare identifier consists of.
fn roles_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("t_"))
        .map(str::to_owned)
        .collect()
}

proptest! {
    #[test]
    fn planning_twice_is_the_same((tenant, observed) in anyone()) {
        let (once, twice) = (plan(&tenant, &observed, NOW), plan(&tenant, &observed, NOW));
        prop_assert_eq!(format!("{once:?}"), format!("{twice:?}"));
    }

    #[test]
    fn a_plan_carried_out_leaves_nothing_to_do((tenant, observed) in anyone()) {
        let first = plan(&tenant, &observed, NOW);
        let mut after = carried_out(&observed, &first);
        let mut next = plan(&tenant, &after, NOW);
        if first.steps.iter().any(|step| matches!(step, Step::Erase { .. })) {
            // That data is gone is noted only once it was seen to be gone.
            after = carried_out(&after, &next);
            next = plan(&tenant, &after, NOW);
        }
        prop_assert_eq!(next.steps, vec![]);
        prop_assert_eq!(&next.config_map, &first.config_map);
        if let Some(config_map) = &next.config_map {
            let live = serde_json::from_value(config_map.body.clone()).unwrap();
            prop_assert!(config_map.is_satisfied_by(&live));
        }
    }

    #[test]
    fn only_services_that_are_entitled_may_act_and_none_while_suspended((tenant, observed) in anyone()) {
        let first = plan(&tenant, &observed, NOW);
        prop_assume!(first.role.is_some());
        let after = carried_out(&observed, &first).database.unwrap().tenant;
        let acting: BTreeSet<_> = after.members.iter().filter(|login| login.starts_with("svc_")).cloned().collect();
        let entitled = first.entitled.keys().map(|one| Identifier::service_login(one).unwrap().as_str().to_owned());
        let expected = if tenant.spec.state == State::Active { entitled.collect() } else { BTreeSet::new() };
        prop_assert_eq!(acting, expected);
    }

    #[test]
    fn the_published_context_has_nothing_that_the_release_or_the_tenant_lacks((tenant, observed) in anyone()) {
        let Some(context) = context(&plan(&tenant, &observed, NOW)) else { return Ok(()) };
        let release = observed.release.as_ref().unwrap();
        for (service, modules) in &context.entitlements {
            let released = release.spec.services.iter().find(|one| one.name == *service);
            let entitlement = tenant.spec.entitlements.iter().find(|one| one.service == *service);
            prop_assert!(released.is_some(), "{service} is not in the release");
            prop_assert!(entitlement.is_some() || service == runtime::TENANT_SERVICE, "{service} is not entitled");
            for module in modules {
                prop_assert!(released.unwrap().modules.contains(module), "{service} has no {module}");
                prop_assert!(entitlement.is_some_and(|one| one.modules.contains(module)), "{module} is not entitled");
            }
        }
        prop_assert_eq!(&context.tenant, &tenant.name_any());
        prop_assert_eq!(context.generation, tenant.metadata.generation.unwrap());
        prop_assert_eq!(context.state == TenantState::Active, tenant.spec.state == State::Active);
        let role = Identifier::tenant(&tenant.name_any()).unwrap();
        prop_assert_eq!(&context.database_role, role.as_str());
        prop_assert!(context.settings.is_empty());
    }

    #[test]
    fn anothers_data_is_only_ever_closed((mut tenant, mut observed) in anyone()) {
        tenant.annotations_mut().remove(labels::UNDELETE);
        let data = &mut observed.database.as_mut().unwrap().tenant;
        data.uid = Some("other".to_owned());
        // The same company, never deleted by the operator, with another uid: restored from a backup of the cluster.
        prop_assume!(data.retained.is_some() || data.display_name.as_ref() != Some(&tenant.spec.display_name));
        let plan = plan(&tenant, &observed, NOW);
        prop_assert!(plan.is_blocked());
        let closes = |step: &Step| matches!(step, Step::Revoke { login } if login.starts_with("svc_"));
        prop_assert!(plan.steps.iter().all(closes), "{:?}", plan.steps);
        let served = context(&plan).is_some_and(|context| !context.entitlements.is_empty());
        prop_assert!(observed.trouble.is_some() || !served);
    }

    #[test]
    fn data_that_nothing_speaks_for_is_only_ever_closed((mut tenant, mut observed) in anyone()) {
        tenant.annotations_mut().remove(labels::UNDELETE);
        tenant.status = None;
        let data = &mut observed.database.as_mut().unwrap().tenant;
        data.uid = None;
        prop_assume!(!data.schemas.is_empty());
        prop_assume!(observed.trouble.is_none());
        let told = plan(&tenant, &observed, NOW);
        prop_assert!(told.is_blocked());
        let closes = |step: &Step| matches!(step, Step::Revoke { login } if login.starts_with("svc_"));
        prop_assert!(told.steps.iter().all(closes), "{:?}", told.steps);
        // Until someone who knows says that it is this tenant's.
        tenant.annotations_mut().insert(labels::UNDELETE.to_owned(), labels::UNREGISTERED.to_owned());
        prop_assert_eq!(plan(&tenant, &observed, NOW).adopted.is_some(), plan(&tenant, &observed, NOW).role.is_some());
    }

    #[test]
    fn no_plan_of_one_tenant_names_another([(one, seen), (other, also)] in two()) {
        let plans = [plan(&one, &seen, NOW), plan(&other, &also, NOW)];
        for (tenant, plan) in [&one, &other].into_iter().zip(&plans) {
            let own = Identifier::tenant(&tenant.name_any()).unwrap();
            let statements = plan.steps.iter().filter_map(|step| step.statement(&own));
            let texts = statements.chain(plan.config_map.iter().map(|object| object.body["data"].to_string()));
            for text in texts {
                let expected = BTreeSet::from([own.as_str().to_owned()]);
                prop_assert!(roles_in(&text).is_subset(&expected), "{text}");
            }
            if let Some(object) = &plan.config_map {
                prop_assert_eq!(&object.name, &format!("tenant-{}", tenant.name_any()));
                prop_assert_eq!(&object.body["metadata"]["labels"][labels::TENANT], &tenant.name_any());
            }
        }
        let [mine, theirs] = plans;
        prop_assert!(mine.role.is_none() || mine.role != theirs.role);
        let names = [mine.config_map, theirs.config_map].map(|object| object.map(|object| (object.namespace, object.name)));
        prop_assert!(names[0].is_none() || names[0] != names[1]);
    }

    #[test]
    fn a_tenant_is_given_a_config_map_and_no_other_object((tenant, observed) in anyone()) {
        let plan = plan(&tenant, &observed, NOW);
        if let Some(object) = &plan.config_map {
            prop_assert_eq!(object.kind, Kind::ConfigMap);
            prop_assert!(object.body["metadata"]["ownerReferences"].is_null());
            prop_assert!(object.name.len() <= 63);
        }
    }
}

#[test]
fn roles_are_found_in_a_text() {
    let text = r#"GRANT "t_acme" TO "svc_crm"; DELETE FROM easycode.tenant WHERE role = 't_b_c'"#;
    assert_eq!(roles_in(text), BTreeSet::from(["t_acme".to_owned(), "t_b_c".to_owned()]));
}
