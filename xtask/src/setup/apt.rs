//! Installing Debian's packages.

use anyhow::{Context as _, Result};

use crate::{host::Host, process};

/// Runs as root in one go, so that sudo asks once. Packages must not start services: the lab runs its own
/// redis-server. Where no policy says so already, one is put up, and taken down whatever happens.
const SCRIPT: &str = r#"
update=$1; shift
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
if [ "$update" = update ]; then
    apt-get update --quiet || echo "the package lists could not be refreshed; trying with those that are there"
fi
# Another Rust or Redis that is installed here is not ours to remove.
apt-get install --quiet --yes --no-install-recommends --no-remove "$@" || exit
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        if [ "$package" = redis-server ]; then systemctl disable --quiet redis-server; fi
    done
fi
"#;

/// apt-get, which refreshes its lists before the first package and not again.
pub(super) struct Apt<'a> {
    host: &'a Host,
    is_updated: bool,
}

impl<'a> Apt<'a> {
    pub(super) fn new(host: &'a Host) -> Self {
        Self { host, is_updated: false }
    }

    pub(super) fn install(&mut self, what: &str, packages: &[&str]) -> Result<()> {
        let mut command = self
            .host
            .as_root("sh", &[])
            .with_context(|| format!("cannot install {} with apt-get", packages.join(", ")))?;
        let update = if self.is_updated { "no-update" } else { "update" };
        command.args(["-c", SCRIPT, "setup", update]).args(packages);
        self.is_updated = true;
        let shown = format!("apt-get install --no-install-recommends {}", packages.join(" "));
        process::run_step(&format!("installing {what}"), &shown, &mut command)
    }
}
