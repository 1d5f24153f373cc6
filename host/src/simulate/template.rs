//! The policy of a CloudFormation template: one scalable target, its policies, and the alarms that start them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::policy::{Adjustment, Alarm, Comparison, Policy, Step, Stepped, Track, Treat};
use super::resource::Resource;
use super::scope::{Scope, TemplateError, wrong};
use super::yaml;

/// Reads the template with other values for some of its parameters.
pub fn policy(text: &str, given: &BTreeMap<String, String>) -> Result<Policy, TemplateError> {
    let template = yaml::read(text).map_err(TemplateError)?;
    let Some(resources) = template.get("Resources").and_then(Value::as_object) else {
        return wrong("it is no template: it has no `Resources`");
    };
    let scope = Scope::new(&template, given)?;
    let mut all = BTreeMap::new();
    for (name, resource) in resources {
        let kind = resource["Type"].as_str().unwrap_or_default();
        if [
            "AWS::ApplicationAutoScaling::ScalableTarget",
            "AWS::ApplicationAutoScaling::ScalingPolicy",
            "AWS::CloudWatch::Alarm",
        ]
        .contains(&kind)
            && scope.is_there(resource)?
        {
            let properties = scope
                .resolved(&resource["Properties"])
                .map_err(|TemplateError(why)| TemplateError(format!("{name}: {why}")))?;
            let Value::Object(properties) = properties else { return wrong(format!("{name} has no `Properties`")) };
            all.insert(name.as_str(), Resource { name, kind, properties });
        }
    }
    assembled(&all)
}

fn assembled(all: &BTreeMap<&str, Resource<'_>>) -> Result<Policy, TemplateError> {
    let of = |kind: &'static str| all.values().filter(move |resource| resource.kind.ends_with(kind));
    let mut targets = of("::ScalableTarget");
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return wrong("it has to have one `AWS::ApplicationAutoScaling::ScalableTarget`, and has none or several");
    };
    let (min, max) = (target.whole("MinCapacity")?, target.whole("MaxCapacity")?);
    if min > max || max == 0 {
        return wrong(format!("{}: `MinCapacity` {min} and `MaxCapacity` {max} leave no fleet", target.name));
    }
    let mut policy = Policy { min, max, track: None, steps: Vec::new() };
    for scaling in of("::ScalingPolicy") {
        match scaling.text("PolicyType")? {
            "TargetTrackingScaling" if policy.track.is_some() => return wrong("it has two target tracking policies"),
            "TargetTrackingScaling" => policy.track = Some(track(scaling)?),
            "StepScaling" => {
                let starts = |alarm: &&Resource<'_>| {
                    let actions = alarm.properties.get("AlarmActions").and_then(Value::as_array);
                    actions.into_iter().flatten().any(|action| action.as_str() == Some(scaling.name))
                };
                for alarm in of("::Alarm").filter(starts) {
                    policy.steps.push(stepped(scaling, alarm)?);
                }
            }
            other => return wrong(format!("{}: the `PolicyType` {other} is not known to the simulator", scaling.name)),
        }
    }
    if policy.track.is_none() && policy.steps.is_empty() && min < max {
        return wrong(
            "no policy moves the capacity: there is no target tracking, and no alarm starts a step scaling policy",
        );
    }
    Ok(policy)
}

fn track(scaling: &Resource<'_>) -> Result<Track, TemplateError> {
    let configuration = scaling.inner("TargetTrackingScalingPolicyConfiguration")?;
    let metrics = configuration.inner("CustomizedMetricSpecification")?;
    let target = configuration.number("TargetValue")?;
    if target <= 0.0 {
        return wrong(format!("{}: `TargetValue` {target} is not above zero", scaling.name));
    }
    Ok(Track {
        load: metrics.expression()?,
        target,
        out_cooldown: configuration.number_or("ScaleOutCooldown", 300.0)?,
        in_cooldown: configuration.number_or("ScaleInCooldown", 300.0)?,
        is_out_only: configuration.properties.get("DisableScaleIn") == Some(&Value::Bool(true)),
    })
}

fn stepped(scaling: &Resource<'_>, alarm: &Resource<'_>) -> Result<Stepped, TemplateError> {
    let configuration = scaling.inner("StepScalingPolicyConfiguration")?;
    let adjustment = match configuration.text("AdjustmentType")? {
        "ExactCapacity" => Adjustment::Exact,
        "ChangeInCapacity" => Adjustment::Change,
        "PercentChangeInCapacity" => Adjustment::Percent,
        other => return wrong(format!("{}: there is no `AdjustmentType` {other}", scaling.name)),
    };
    let steps = configuration.list("StepAdjustments")?;
    let steps: Result<Vec<_>, TemplateError> = steps
        .iter()
        .map(|step| {
            Ok(Step {
                lower: step.optional("MetricIntervalLowerBound")?,
                upper: step.optional("MetricIntervalUpperBound")?,
                adjustment: step.number("ScalingAdjustment")?,
            })
        })
        .collect();
    Ok(Stepped {
        name: alarm.name.into(),
        alarm: read_alarm(alarm)?,
        adjustment,
        least: configuration.number_or("MinAdjustmentMagnitude", 0.0)? as u32,
        cooldown: configuration.number_or("Cooldown", 0.0)?,
        steps: steps?,
    })
}

fn read_alarm(alarm: &Resource<'_>) -> Result<Alarm, TemplateError> {
    let comparison = match alarm.text("ComparisonOperator")? {
        "GreaterThanThreshold" => Comparison::Greater,
        "GreaterThanOrEqualToThreshold" => Comparison::GreaterOrEqual,
        "LessThanThreshold" => Comparison::Less,
        "LessThanOrEqualToThreshold" => Comparison::LessOrEqual,
        other => {
            return wrong(format!("{}: the `ComparisonOperator` {other} is not known to the simulator", alarm.name));
        }
    };
    let missing = match alarm.properties.get("TreatMissingData").and_then(Value::as_str) {
        None | Some("missing") => Treat::Missing,
        Some("ignore") => Treat::Ignore,
        Some("breaching") => Treat::Breaching,
        Some("notBreaching") => Treat::NotBreaching,
        Some(other) => return wrong(format!("{}: there is no `TreatMissingData` {other}", alarm.name)),
    };
    let periods = alarm.number("EvaluationPeriods")?;
    let datapoints = alarm.number_or("DatapointsToAlarm", periods)?;
    if !(1.0..=1440.0).contains(&periods) || !(1.0..=periods).contains(&datapoints) {
        return wrong(format!("{}: {datapoints} of {periods} periods make no sense", alarm.name));
    }
    let threshold = alarm.number("Threshold")?;
    Ok(Alarm {
        metric: alarm.expression()?,
        comparison,
        threshold,
        periods: periods as usize,
        datapoints: datapoints as usize,
        missing,
    })
}
