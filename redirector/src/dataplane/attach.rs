//! Programs onto interfaces, through links that are pinned and replaced in place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode,
        links::{FdLink, PinnedLink},
        tc,
        xdp::XdpError,
    },
    sys::SyscallError,
    util::KernelVersion,
};
use redirector_common::names;

use super::{
    error::{DataplaneError, Result},
    netlink::Interface,
    pins::Pins,
};
use crate::config::Attach;

/// How the programs run on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Xdp,
    XdpGeneric,
    Tc,
}

impl Hook {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

/// Attaches to every interface and gives the hook that each one got. Links of interfaces or hooks that are no longer
/// wanted are removed last, so that there is no moment without a program.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    pins: &Pins,
    interfaces: &[Interface],
    wanted: Attach,
) -> Result<Vec<Hook>> {
    load(ebpf)?;
    let hooks = interfaces
        .iter()
        .map(|interface| match wanted {
            Attach::Xdp => xdp(ebpf, pins, interface, Hook::Xdp),
            Attach::XdpGeneric => xdp(ebpf, pins, interface, Hook::XdpGeneric),
            Attach::Tc => tc(ebpf, pins, interface),
            // On veth TC is the faster hook and works with every offload setting; loopback has no native XDP.
            Attach::Auto if interface.is_veth || interface.is_loopback => tc(ebpf, pins, interface),
            Attach::Auto => xdp(ebpf, pins, interface, Hook::Xdp).or_else(|_| tc(ebpf, pins, interface)),
        })
        .collect::<Result<Vec<_>>>()?;
    let wanted: Vec<PathBuf> = interfaces
        .iter()
        .zip(&hooks)
        .map(|(interface, hook)| pins.link(hook.name(), interface.index))
        .collect();
    for path in pins.links()? {
        if !wanted.contains(&path) {
            fs::remove_file(&path).map_err(|source| DataplaneError::Path { path, source })?;
        }
    }
    Ok(hooks)
}

fn load(ebpf: &mut Ebpf) -> Result<()> {
    program::<Xdp>(ebpf, names::XDP_PROGRAM)?.load().map_err(refused(names::XDP_PROGRAM))?;
    program::<SchedClassifier>(ebpf, names::TC_PROGRAM)?.load().map_err(refused(names::TC_PROGRAM))
}

fn xdp(ebpf: &mut Ebpf, pins: &Pins, interface: &Interface, hook: Hook) -> Result<Hook> {
    let program: &mut Xdp = program(ebpf, names::XDP_PROGRAM)?;
    let pin = pins.link(hook.name(), interface.index);
    if let Some(link) = pinned(&pin) {
        if let Ok(link) = link.try_into()
            && program.attach_to_link(link).is_ok()
        {
            return Ok(hook);
        }
        // Its interface has gone and come back: the link is an empty shell.
        let _ = fs::remove_file(&pin);
    }
    let mode = if hook == Hook::Xdp { XdpMode::Driver } else { XdpMode::Skb };
    let id = program.attach_to_if_index(interface.index, mode).map_err(|source| {
        let name = interface.name.clone();
        match errno(&source) {
            Some(libc::EOPNOTSUPP | libc::EINVAL) => DataplaneError::NoXdp { name, source },
            Some(libc::EBUSY | libc::EEXIST) => DataplaneError::XdpTaken { name },
            Some(libc::ERANGE) => DataplaneError::XdpMtu { name },
            Some(_) | None => DataplaneError::Attach { name, source: source.into() },
        }
    })?;
    let link = program.take_link(id).map_err(failed(interface))?;
    if let Ok(link) = FdLink::try_from(link) {
        link.pin(&pin).map_err(|source| DataplaneError::Pin { path: pin, source })?;
    }
    Ok(hook)
}

fn tc(ebpf: &mut Ebpf, pins: &Pins, interface: &Interface) -> Result<Hook> {
    let program: &mut SchedClassifier = program(ebpf, names::TC_PROGRAM)?;
    let pin = pins.link(Hook::Tc.name(), interface.index);
    if let Some(link) = pinned(&pin) {
        if let Ok(link) = link.try_into()
            && program.attach_to_link(link).is_ok()
        {
            return Ok(Hook::Tc);
        }
        let _ = fs::remove_file(&pin);
    }
    // TCX where the kernel has it (6.6), else a classifier of the clsact qdisc, which stays without a pin.
    let tcx = KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0));
    if !tcx {
        // Already there is as good.
        let _ = tc::qdisc_add_clsact(&interface.name);
        let _ = tc::qdisc_detach_program(&interface.name, TcAttachType::Ingress, names::TC_PROGRAM);
    }
    let id = program.attach(&interface.name, TcAttachType::Ingress).map_err(failed(interface))?;
    let link = program.take_link(id).map_err(failed(interface))?;
    if tcx {
        let link = FdLink::try_from(link).map_err(|source| DataplaneError::Attach {
            name: interface.name.clone(),
            source: source.into(),
        })?;
        link.pin(&pin).map_err(|source| DataplaneError::Pin { path: pin, source })?;
    } else {
        // Dropped, it would detach; it is to outlive the agent.
        std::mem::forget(link);
    }
    Ok(Hook::Tc)
}

/// Takes the classifiers off these interfaces that kernels before 6.6 keep without a pin. Where there are none, there is
/// nothing to do.
pub fn detach_classifiers<'n>(interfaces: impl IntoIterator<Item = &'n String>) {
    for name in interfaces {
        let _ = tc::qdisc_detach_program(name, TcAttachType::Ingress, names::TC_PROGRAM);
    }
}

/// The link that an earlier agent has left under `pin`.
fn pinned(pin: &Path) -> Option<FdLink> {
    PinnedLink::from_pin(pin).ok().map(FdLink::from)
}

fn program<'e, P>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut P>
where
    &'e mut P: TryFrom<&'e mut aya::programs::Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(DataplaneError::Missing { what: "program", name })?
        .try_into()
        .map_err(refused(name))
}

fn refused(name: &'static str) -> impl FnOnce(ProgramError) -> DataplaneError {
    move |source| DataplaneError::Program { name, source }
}

fn failed(interface: &Interface) -> impl FnOnce(ProgramError) -> DataplaneError {
    let name = interface.name.clone();
    move |source| DataplaneError::Attach { name, source: source.into() }
}

fn errno(error: &ProgramError) -> Option<i32> {
    if let ProgramError::SyscallError(SyscallError { io_error, .. }) = error {
        return io_error.raw_os_error();
    }
    if let ProgramError::XdpError(XdpError::NetlinkError(error)) = error {
        return error.raw_os_error();
    }
    None
}
