//! What holds for whatever the operator plans, and for the chart that installs it. No cluster is needed.

mod arbitrary;
mod chart;
mod command_line;
mod examples;
mod helm;
mod pod_security;
mod stack_plans;
mod stack_properties;
mod tenant_plans;
mod tenant_properties;
