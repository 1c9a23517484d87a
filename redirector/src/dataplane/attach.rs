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

/// What this start has put on an interface, beside what it has adopted.
#[derive(Debug)]
enum Made {
    Link {
        pin: PathBuf,
    },
    /// Before Linux 6.6, where TC has no links.
    Classifier {
        interface: String,
    },
}

/// The programs on the interfaces.
#[derive(Debug, Default)]
pub(super) struct Attached {
    /// In the order of the interfaces.
    pub hooks: Vec<Hook>,
    /// Where the links of these hooks are pinned.
    wanted: Vec<PathBuf>,
    made: Vec<Made>,
}

impl Attached {
    /// Attaches to every interface, or to none: refused in the middle, it takes back what it has made. Links that it has
    /// adopted stay, those that are no longer wanted too; see [`Self::prune`].
    pub(super) fn new(
        ebpf: &mut Ebpf,
        pins: &Pins,
        interfaces: &[Interface],
        wanted: Attach,
    ) -> Result<Self> {
        load(ebpf)?;
        let mut attached = Self::default();
        for interface in interfaces {
            if let Err(error) = attached.add(ebpf, pins, interface, wanted) {
                attached.undo();
                return Err(error);
            }
        }
        Ok(attached)
    }

    fn add(&mut self, ebpf: &mut Ebpf, pins: &Pins, interface: &Interface, wanted: Attach) -> Result<()> {
        let (hook, made) = match wanted {
            Attach::Xdp => xdp(ebpf, pins, interface, Hook::Xdp),
            Attach::XdpGeneric => xdp(ebpf, pins, interface, Hook::XdpGeneric),
            Attach::Tc => tc(ebpf, pins, interface),
            // On veth TC is the faster hook and works with every offload setting; loopback has no native XDP.
            Attach::Auto if interface.is_veth || interface.is_loopback => tc(ebpf, pins, interface),
            Attach::Auto => xdp(ebpf, pins, interface, Hook::Xdp).or_else(|_| tc(ebpf, pins, interface)),
        }?;
        self.wanted.push(pins.link(hook.name(), interface.index));
        self.hooks.push(hook);
        self.made.extend(made);
        Ok(())
    }

    /// Removes links of interfaces and hooks that are no longer wanted. This comes last, so that there is no moment
    /// without a program.
    pub(super) fn prune(&self, pins: &Pins) -> Result<()> {
        for path in pins.links()? {
            if !self.wanted.contains(&path) {
                fs::remove_file(&path).map_err(|source| DataplaneError::Path { path, source })?;
            }
        }
        Ok(())
    }

    /// Takes back what this start has made, but not what it has adopted.
    pub(super) fn undo(&self) {
        for made in &self.made {
            match made {
                // Gone already is as good, and what made this necessary is what is to be reported.
                Made::Link { pin } => drop(fs::remove_file(pin)),
                Made::Classifier { interface } => detach_classifiers([interface]),
            }
        }
    }
}

fn load(ebpf: &mut Ebpf) -> Result<()> {
    program::<Xdp>(ebpf, names::XDP_PROGRAM)?.load().map_err(refused(names::XDP_PROGRAM))?;
    program::<SchedClassifier>(ebpf, names::TC_PROGRAM)?.load().map_err(refused(names::TC_PROGRAM))
}

/// The hook, and what was made for it: nothing if an earlier agent's link was adopted.
type Attachment = (Hook, Option<Made>);

fn xdp(ebpf: &mut Ebpf, pins: &Pins, interface: &Interface, hook: Hook) -> Result<Attachment> {
    let program: &mut Xdp = program(ebpf, names::XDP_PROGRAM)?;
    let pin = pins.link(hook.name(), interface.index);
    if let Some(link) = pinned(&pin) {
        if let Ok(link) = link.try_into()
            && program.attach_to_link(link).is_ok()
        {
            return Ok((hook, None));
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
        pin_link(link, &pin)?;
    }
    Ok((hook, Some(Made::Link { pin })))
}

fn tc(ebpf: &mut Ebpf, pins: &Pins, interface: &Interface) -> Result<Attachment> {
    let program: &mut SchedClassifier = program(ebpf, names::TC_PROGRAM)?;
    let pin = pins.link(Hook::Tc.name(), interface.index);
    if let Some(link) = pinned(&pin) {
        if let Ok(link) = link.try_into()
            && program.attach_to_link(link).is_ok()
        {
            return Ok((Hook::Tc, None));
        }
        let _ = fs::remove_file(&pin);
    }
    // TCX where the kernel has it (6.6), else a classifier of the clsact qdisc, which stays without a pin.
    let tcx = KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0));
    let mut adopted = false;
    if !tcx {
        // Already there is as good.
        let _ = tc::qdisc_add_clsact(&interface.name);
        adopted = tc::qdisc_detach_program(&interface.name, TcAttachType::Ingress, names::TC_PROGRAM).is_ok();
    }
    let id = program.attach(&interface.name, TcAttachType::Ingress).map_err(failed(interface))?;
    let link = program.take_link(id).map_err(failed(interface))?;
    if tcx {
        let link = FdLink::try_from(link).map_err(|source| DataplaneError::Attach {
            name: interface.name.clone(),
            source: source.into(),
        })?;
        pin_link(link, &pin)?;
        return Ok((Hook::Tc, Some(Made::Link { pin })));
    }
    // Dropped, it would detach; it is to outlive the agent.
    std::mem::forget(link);
    let interface = interface.name.clone();
    Ok((Hook::Tc, (!adopted).then_some(Made::Classifier { interface })))
}

/// On failure the link is dropped, which detaches it.
fn pin_link(link: FdLink, pin: &Path) -> Result<()> {
    link.pin(pin).map_err(|source| DataplaneError::Pin { path: pin.to_owned(), source })?;
    Ok(())
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
