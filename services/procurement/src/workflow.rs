//! The tenant's workflow: which approvals a requisition needs. Its administrators declare it in the settings of Procurement:
//!
//! ```json
//! {"approvals": [{"above": "1000.00", "currency": "EUR", "role": "procurement-approver"}]}
//! ```
//!
//! A requisition needs, in this order, each step whose amount it exceeds, and each whose currency is another than its own. Without a workflow one approval by
//! `procurement-approver` is needed for any amount. A workflow that can't be read stops submissions rather than letting any pass, as does
//! one that names another role than those that approve: nobody with it could decide.

use easycode_kit::{Amount, Caller, Currency, Problem};
use serde::Deserialize;
use serde_json::Value;

use crate::{APPROVER, DIRECTOR};

/// The module; a tenant without it needs no approvals.
const APPROVALS: &str = "approvals";

#[derive(Deserialize)]
struct Settings {
    approvals: Option<Vec<Step>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    above: Amount,
    currency: Option<Currency>,
    role: Role,
}

/// A role that approves.
#[derive(Clone, Copy, Deserialize)]
enum Role {
    #[serde(rename = "procurement-approver")]
    Approver,
    #[serde(rename = "procurement-director")]
    Director,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Approver => APPROVER,
            Self::Director => DIRECTOR,
        }
    }
}

/// The roles that have to approve, one after the other.
pub fn steps(caller: &Caller, service: &str, total: Amount, currency: &Currency) -> Result<Vec<&'static str>, Problem> {
    if !caller.context.allows_module(service, APPROVALS) {
        return Ok(Vec::new());
    }
    needed(caller.context.settings.get(service), total, currency)
}

fn needed(settings: Option<&Value>, total: Amount, currency: &Currency) -> Result<Vec<&'static str>, Problem> {
    let unreadable = |error: serde_json::Error| {
        Problem::conflict(format!(
            "the workflow in the settings of Procurement can't be read, so nothing can be submitted: {error}"
        ))
    };
    let settings = settings.map(Settings::deserialize).transpose().map_err(unreadable)?;
    match settings.and_then(|settings| settings.approvals) {
        None => Ok(vec![APPROVER]),
        Some(steps) => {
            let foreign = |step: &Step| step.currency.as_ref().is_some_and(|one| one != currency);
            let exceeded = |step: &Step| foreign(step) || total > step.above;
            Ok(steps.into_iter().filter(exceeded).map(|step| step.role.name()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::validator_for;
    use serde_json::{from_str, from_value, json};

    use super::*;

    fn needed_for(settings: Option<&Value>, total: &str) -> Result<Vec<&'static str>, String> {
        needed(settings, from_value(json!(total)).unwrap(), &from_value(json!("EUR")).unwrap())
            .map_err(|problem| problem.detail)
    }

    #[test]
    fn each_step_that_the_amount_exceeds_is_needed() {
        let workflow = json!({ "approvals": [
            { "above": "1000.00", "role": "procurement-approver" }, { "above": "10000", "role": "procurement-director" },
        ] });
        for (total, roles) in [("1000.00", vec![]), ("1000.01", vec![APPROVER]), ("10000.01", vec![APPROVER, DIRECTOR])]
        {
            assert_eq!(needed_for(Some(&workflow), total).unwrap(), roles, "{total}");
        }
    }

    #[test]
    fn an_amount_in_another_currency_exceeds_nothing_for_sure_so_its_step_is_needed() {
        let workflow = json!({ "approvals": [{ "above": "1000", "currency": "KWD", "role": DIRECTOR }] });
        assert_eq!(needed_for(Some(&workflow), "1.00").unwrap(), [DIRECTOR]);
        let workflow = json!({ "approvals": [{ "above": "1000", "currency": "EUR", "role": DIRECTOR }] });
        assert_eq!(needed_for(Some(&workflow), "1.00").unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn without_a_workflow_one_approval_is_needed_and_with_an_unreadable_one_nothing_passes() {
        assert_eq!(needed_for(None, "0.01").unwrap(), ["procurement-approver"]);
        assert_eq!(needed_for(Some(&json!({})), "0.01").unwrap(), ["procurement-approver"]);
        assert_eq!(needed_for(Some(&json!({ "approvals": [] })), "1").unwrap(), Vec::<&str>::new());
        for step in [json!({ "above": "much", "role": APPROVER }), json!({ "role": "cfo" })] {
            let refused = needed_for(Some(&json!({ "approvals": [step] })), "1").unwrap_err();
            assert!(refused.contains("can't be read"), "{refused}");
        }
    }

    #[test]
    fn what_fits_the_declared_schema_is_read() {
        let schema = validator_for(&from_str(crate::SERVICE.settings.unwrap()).unwrap()).unwrap();
        let of = |step: Value| json!({ "approvals": [step] });
        for good in [
            json!({}),
            json!({ "approvals": [] }),
            of(json!({ "above": "1000.00", "currency": "EUR", "role": APPROVER })),
            of(json!({ "above": "9999999999999999.99", "role": DIRECTOR })),
            of(json!({ "role": DIRECTOR })),
        ] {
            assert!(schema.is_valid(&good) && needed_for(Some(&good), "1").is_ok(), "{good}");
        }
        for bad in [
            of(json!({ "above": "1000.00" })),
            of(json!({ "above": 1000, "role": APPROVER })),
            of(json!({ "above": "-1", "role": APPROVER })),
            of(json!({ "above": "1.234", "role": APPROVER })),
            of(json!({ "currency": "euro", "role": APPROVER })),
            of(json!({ "role": "cfo" })),
            of(json!({ "role": crate::BUYER })),
            of(json!({ "role": crate::REQUESTER })),
            json!({ "approvals": vec![json!({ "role": APPROVER }); 11] }),
        ] {
            assert!(!schema.is_valid(&bad), "{bad}");
        }
    }
}
