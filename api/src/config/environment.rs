//! Detection of environment variables that look like settings but are not: a misspelt name silently leaves a default.
//!
//! They are logged, and the service starts nevertheless. Processes of two versions often share one environment. A
//! version to which a deployment is rolled back must not fail on a setting that only the later version knows.

use std::ffi::OsString;
use std::fmt;

use clap::CommandFactory;

use super::Cli;

const PREFIX: &str = "TRADELINE_";

/// The lowest similarity (Jaro-Winkler) of a suggested name; equal names have 1.
const ALIKE: f64 = 0.8;

/// A variable that belongs to no setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// The variable's name.
    pub name: String,
    /// The most similar variable of a setting; `None` if none is similar enough.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a setting and has no effect", self.name)?;
        match &self.nearest {
            Some(nearest) => write!(f, ": did you mean {nearest}?"),
            None => write!(f, ": `tradeline --help` lists the settings"),
        }
    }
}

/// The variables that have the prefix of settings and belong to none.
pub fn unknown_variables(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<UnknownVariable> {
    let command = Cli::command();
    let settings = command.get_arguments().filter_map(clap::Arg::get_env);
    let settings: Vec<String> = settings
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let mut unknown: Vec<UnknownVariable> = variables
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX) && !settings.contains(name))
        .filter(|(name, value)| !is_service_link(name, &value.to_string_lossy()))
        .map(|(name, _)| UnknownVariable {
            nearest: nearest(&name, &settings),
            name,
        })
        .collect();
    unknown.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    unknown
}

fn nearest(name: &str, settings: &[String]) -> Option<String> {
    let likeness = |setting: &String| {
        let rest = setting.strip_prefix(PREFIX)?;
        Some(strsim::jaro_winkler(name.strip_prefix(PREFIX)?, rest))
    };
    let alike = settings
        .iter()
        .filter_map(|setting| Some((likeness(setting)?, setting)));
    let best = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness >= ALIKE)
        .map(|(_, setting)| setting.clone())
}

/// Whether Kubernetes has set the variable.
///
/// For a service whose name begins with `tradeline`, Kubernetes sets `TRADELINE_SERVICE_HOST`,
/// `TRADELINE_PORT=tcp://…`, `TRADELINE_PORT_8080_TCP_ADDR` and more in every container of the namespace:
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let of_port = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let (port, protocol) = rest.split_once('_')?;
        let protocols = ["TCP", "UDP", "SCTP"];
        let is_link = port.bytes().all(|byte| byte.is_ascii_digit())
            && protocols.iter().any(|known| protocol.starts_with(known));
        is_link.then_some(())
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT") && is_address
        || of_port().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let unknown = unknown_variables(variables);
        unknown.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_variable_that_is_no_setting_is_named_with_the_nearest_setting() {
        for (name, words) in [
            ("TRADELINE_LISTN", "did you mean TRADELINE_LISTEN?"),
            ("TRADELINE_NODEMO", "did you mean TRADELINE_NO_DEMO?"),
            (
                "TRADELINE_RATE_LIMITS",
                "did you mean TRADELINE_RATE_LIMIT?",
            ),
            ("TRADELINE_XYZZY", "lists the settings"),
            ("TRADELINE_PORT", "TRADELINE_PORT is not a setting"),
        ] {
            let said = said(&[(name, "8080")]);
            assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
        }
    }

    #[test]
    fn settings_and_other_programs_variables_are_not_named() {
        let known = [
            ("TRADELINE_LISTEN", ""),
            ("TRADELINE_NO_DEMO", "yes"),
            ("DATABASE_URL", ""),
            ("PATH", ""),
        ];
        assert!(said(&known).is_empty(), "{:?}", said(&known));
    }

    #[test]
    fn variables_of_kubernetes_for_a_service_of_this_name_are_not_named() {
        let links = [
            ("TRADELINE_SERVICE_HOST", "10.0.0.11"),
            ("TRADELINE_SERVICE_PORT", "8080"),
            ("TRADELINE_SERVICE_PORT_HTTP", "8080"),
            ("TRADELINE_PORT", "tcp://10.0.0.11:8080"),
            ("TRADELINE_PORT_8080_TCP", "tcp://10.0.0.11:8080"),
            ("TRADELINE_PORT_8080_TCP_PROTO", "tcp"),
            ("TRADELINE_PORT_8080_TCP_PORT", "8080"),
            ("TRADELINE_PORT_8080_TCP_ADDR", "10.0.0.11"),
            ("TRADELINE_DB_PORT_5432_TCP_ADDR", "10.0.0.12"),
        ];
        assert!(said(&links).is_empty(), "{:?}", said(&links));
    }
}
