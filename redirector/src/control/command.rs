//! Words to commands, and commands to changes. Pure.

use std::str::FromStr;

use crate::{
    agent::{Origin, Steering},
    topology::Operator,
};

/// What may be asked of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `show status`: the whole of it, as JSON in one line.
    ShowStatus,
    /// `set weight BACKEND/SERVER N[%]`, or `set server BACKEND/SERVER weight N[%]`.
    SetWeight {
        backend: String,
        server: String,
        weight: Weight,
    },
    /// `set server BACKEND/SERVER state ready|drain|maint`.
    SetState {
        backend: String,
        server: String,
        state: Operator,
    },
    Help,
}

impl Command {
    /// Whether it changes what a server is to do.
    pub const fn is_order(&self) -> bool {
        match self {
            Self::SetWeight { .. } | Self::SetState { .. } => true,
            Self::ShowStatus | Self::Help => false,
        }
    }
}

/// A weight as the operator gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// 0–256.
    Absolute(u16),
    /// Of the configured weight.
    Percent(u16),
}

/// What the agent says: an empty text is plain success.
pub type Answer = Result<String, String>;

const HELP: &str = "show status\nset weight BACKEND/SERVER N[%]\nset server BACKEND/SERVER weight N[%]\n\
                    set server BACKEND/SERVER state ready|drain|maint\nhelp";
const MAX_WEIGHT: u16 = 256;

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["help"] => Ok(Self::Help),
            ["show", "status"] => Ok(Self::ShowStatus),
            ["set", "weight", path, weight] | ["set", "server", path, "weight", weight] => {
                let (backend, server) = split(path)?;
                Ok(Self::SetWeight { backend, server, weight: weight.parse()? })
            }
            ["set", "server", path, "state", state] => {
                let (backend, server) = split(path)?;
                Ok(Self::SetState { backend, server, state: state.parse()? })
            }
            _ => Err(format!("unknown command \"{}\"; help lists them all", words.join(" "))),
        }
    }
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("weight \"{text}\" is not one; write 0 to {MAX_WEIGHT}, or a percentage such as 50%");
        let (digits, percent) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        let number: u16 = digits.parse().map_err(|_| wrong())?;
        match (number, percent) {
            (0..=MAX_WEIGHT, false) => Ok(Self::Absolute(number)),
            (0..=10_000, true) => Ok(Self::Percent(number)),
            (_, false | true) => Err(wrong()),
        }
    }
}

impl Weight {
    /// The weight that results for a server configured with `configured`.
    pub fn of(self, configured: u16) -> u16 {
        match self {
            Self::Absolute(weight) => weight,
            Self::Percent(percent) => {
                let scaled = (u32::from(configured) * u32::from(percent)).div_ceil(100);
                u16::try_from(scaled).unwrap_or(MAX_WEIGHT).min(MAX_WEIGHT)
            }
        }
    }
}

fn split(path: &str) -> Result<(String, String), String> {
    match path.split_once('/') {
        Some((backend, server)) if !backend.is_empty() && !server.is_empty() => {
            Ok((backend.into(), server.into()))
        }
        Some(_) | None => Err(format!("\"{path}\" names no server; write GROUP/SERVER, such as cache/r1")),
    }
}

/// What a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is done, or refused.
    Answered(Answer),
    /// It changes nothing and wants to see everything.
    ShowStatus,
}

/// Carries out a command on the agent's state.
pub fn execute(command: &Command, origin: Origin, steering: &mut Steering) -> Effect {
    let answer = match command {
        Command::ShowStatus => return Effect::ShowStatus,
        Command::Help => Ok(HELP.to_owned()),
        Command::SetWeight { backend, server, weight } => find(steering, backend, server).map(|id| {
            steering.set_weight(id, weight.of(steering.configured_weight(id)), origin);
            String::new()
        }),
        Command::SetState { backend, server, state } => find(steering, backend, server).map(|id| {
            steering.set_operator(id, *state, origin);
            String::new()
        }),
    };
    Effect::Answered(answer)
}

fn find(steering: &Steering, backend: &str, server: &str) -> Result<crate::agent::ServerId, String> {
    steering.find(backend, server).ok_or_else(|| {
        let config = steering.config();
        let known: Vec<String> = config
            .groups
            .iter()
            .flat_map(|group| group.servers.iter().map(|server| format!("{}/{}", group.name, server.name)))
            .collect();
        format!("there is no server {backend}/{server}; there are {}", known.join(", "))
    })
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_or_sentences() {
        let weight = |weight| Command::SetWeight { backend: "cache".into(), server: "r2".into(), weight };
        for (line, expected) in [
            ("show status", Ok(Command::ShowStatus)),
            ("  set weight cache/r2 50", Ok(weight(Weight::Absolute(50)))),
            ("set server cache/r2 weight 50%", Ok(weight(Weight::Percent(50)))),
            (
                "set server cache/r2 state maint",
                Ok(Command::SetState {
                    backend: "cache".into(),
                    server: "r2".into(),
                    state: Operator::Maint,
                }),
            ),
            ("set weight cache/r2 257", Err("write 0 to 256")),
            ("set weight cache/r2 many", Err("write 0 to 256")),
            ("set weight r2 5", Err("write GROUP/SERVER")),
            ("set server cache/r2 state gone", Err("write ready, drain or maint")),
            ("show", Err("help lists them")),
            ("", Err("help lists them")),
        ] {
            match (line.parse::<Command>(), expected) {
                (Ok(command), Ok(expected)) => assert_eq!(command, expected),
                (Err(sentence), Err(part)) => assert!(sentence.contains(part), "{line}: {sentence}"),
                (got, expected) => panic!("{line}: {got:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn a_percentage_is_of_the_configured_weight() {
        assert_eq!(Weight::Percent(50).of(70), 35);
        assert_eq!(Weight::Percent(1).of(3), 1, "a small share is not none");
        assert_eq!(Weight::Percent(0).of(70), 0);
        assert_eq!(Weight::Percent(1000).of(200), 256);
        assert_eq!(Weight::Absolute(7).of(70), 7);
    }
}
