//! The loaded bytecode, one packet at a time (`BPF_PROG_TEST_RUN`).

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, PerCpuArray, PerCpuValues},
    programs::{ProgramInfo, SchedClassifier, TestRun as _, TestRunOptions, Xdp},
};
use redirector_common::{Backend, Counter, Flow, FlowKey, Service, ServiceKey, Traffic, limits, names};

use super::{Accounts, Class, Executor, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Xdp,
    Tc,
}

/// Programs and maps of their own, pinned nowhere once they are loaded.
pub struct Kernel {
    ebpf: Ebpf,
    hook: Hook,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({:?})", self.hook)
    }
}

fn nr_cpus(what: &str) -> usize {
    aya::util::nr_cpus().unwrap_or_else(|(_, error)| panic!("{what} for each processor: {error}"))
}

/// The object that the agent carries, where the build has left it.
pub(super) fn object() -> Vec<u8> {
    let path = env::var_os("REDIRECTOR_BPF").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/redirector.bpf.o")),
        PathBuf::from,
    );
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask build` makes it", path.display()))
}

impl Kernel {
    /// Needs root.
    pub fn load(hook: Hook) -> Self {
        Self::load_with(hook, limits::FLOW_ENTRIES)
    }

    pub fn load_with(hook: Hook, flow_entries: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        crate::lab::check_host().expect("a host that can load programs");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pins = PathBuf::from(format!("/sys/fs/bpf/rdr-golden-{}-{number}", std::process::id()));
        fs::create_dir(&pins).expect("a bpf file system");
        let ebpf = EbpfLoader::new()
            .default_map_pin_directory(&pins)
            .map_max_entries(names::FLOWS, flow_entries)
            .load(&object());
        fs::remove_dir_all(&pins).expect("just made");
        let mut kernel = Self { ebpf: ebpf.expect("the kernel takes the object"), hook };
        match hook {
            Hook::Xdp => kernel.xdp().load().expect("the verifier takes the XDP program"),
            Hook::Tc => kernel.tc().load().expect("the verifier takes the TC program"),
        }
        kernel
    }

    /// Instructions that the verifier has walked through.
    pub fn verified_instructions(&mut self) -> Option<u32> {
        self.info().verified_instruction_count()
    }

    /// What the kernel tells about the program.
    pub fn info(&mut self) -> ProgramInfo {
        match self.hook {
            Hook::Xdp => self.xdp().info(),
            Hook::Tc => self.tc().info(),
        }
        .expect("a loaded program has information")
    }

    /// As [`Executor::reset`], with the fewest system calls: for the same services, over and over.
    pub fn rewind(&mut self, world: &World) {
        self.forget_flows();
        let mut tickets = self.array::<u64>(names::TICKETS);
        for (_, service) in &world.services {
            tickets.set(service.id, 0, 0).expect("within the array");
        }
        self.update(world);
    }

    fn forget_flows(&mut self) {
        let mut flows: HashMap<_, FlowKey, Flow> =
            HashMap::try_from(self.ebpf.map_mut(names::FLOWS).expect("it is there")).expect("flows");
        let keys: Vec<FlowKey> = flows.keys().collect::<Result<_, _>>().expect("keys");
        for key in keys {
            flows.remove(&key).expect("nobody else removes it");
        }
    }

    fn xdp(&mut self) -> &mut Xdp {
        self.ebpf.program_mut(names::XDP_PROGRAM).expect("it is there").try_into().expect("it is XDP")
    }

    fn tc(&mut self) -> &mut SchedClassifier {
        self.ebpf.program_mut(names::TC_PROGRAM).expect("it is there").try_into().expect("it is TC")
    }

    fn array<V: aya::Pod>(&mut self, name: &str) -> Array<&mut MapData, V> {
        Array::try_from(self.ebpf.map_mut(name).expect("it is there")).expect("an array of that")
    }
}

impl Executor for Kernel {
    fn reset(&mut self, world: &World) {
        self.forget_flows();
        let mut tickets = self.array::<u64>(names::TICKETS);
        for service in 0..limits::SERVICES {
            tickets.set(service, 0, 0).expect("within the array");
        }
        let none = |name| PerCpuValues::try_from(vec![Traffic::default(); nr_cpus(name)]).expect("one each");
        let mut traffic: PerCpuArray<_, Traffic> =
            PerCpuArray::try_from(self.ebpf.map_mut(names::TRAFFIC).expect("it is there")).expect("traffic");
        for backend in 0..16 {
            traffic.set(backend, none("traffic"), 0).expect("within the array");
        }
        let mut refusals: PerCpuArray<_, u64> =
            PerCpuArray::try_from(self.ebpf.map_mut(names::REFUSALS).expect("it is there"))
                .expect("refusals");
        for service in 0..16 {
            let none = PerCpuValues::try_from(vec![0; nr_cpus("refusals")]).expect("one each");
            refusals.set(service, none, 0).expect("within the array");
        }
        self.update(world);
    }

    fn update(&mut self, world: &World) {
        let mut services: HashMap<_, ServiceKey, Service> =
            HashMap::try_from(self.ebpf.map_mut(names::SERVICES).expect("it is there")).expect("services");
        for (key, service) in &world.services {
            services.insert(key, service, 0).expect("it fits");
        }
        let mut backends = self.array::<Backend>(names::BACKENDS);
        for (id, backend) in (0..).zip(&world.backends) {
            backends.set(id, backend, 0).expect("it fits");
        }
        let mut table = self.array::<u32>(names::SLOTS);
        for (service, slots) in (0..).zip(&world.slots) {
            let bank = world.services.iter().find(|(_, entry)| entry.id == service);
            let bank = bank.map_or(0, |(_, entry)| entry.bank);
            for (slot, id) in (0..).zip(slots) {
                table.set(limits::slot_index(service, bank, slot), id, 0).expect("it fits");
            }
        }
    }

    fn run(&mut self, frame: &[u8]) -> Option<(Class, Vec<u8>)> {
        // A frame without a whole IP header of its kind is refused for socket buffers (net/bpf/test_run.c).
        let shortest = match frame[12..14] {
            [0x08, 0x00] => 14 + 20,
            [0x86, 0xdd] => 14 + 40,
            _ => 14,
        };
        if self.hook == Hook::Tc && frame.len() < shortest {
            return None;
        }
        let mut out = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        let result = match self.hook {
            Hook::Xdp => self.xdp().test_run(options),
            Hook::Tc => self.tc().test_run(options),
        }
        .expect("a test run");
        let class = match (self.hook, result.return_value.cast_signed()) {
            (Hook::Xdp, 2) | (Hook::Tc, 0) => Class::Pass,
            (Hook::Xdp, 1) | (Hook::Tc, 2) => Class::Drop,
            (Hook::Xdp, 4) | (Hook::Tc, 7) => Class::Transmit,
            (hook, other) => panic!("{hook:?} returned {other}"),
        };
        out.truncate(result.data_size_out as usize);
        Some((class, out))
    }

    fn counters(&self) -> Vec<u64> {
        let counters: PerCpuArray<_, u64> =
            PerCpuArray::try_from(self.ebpf.map(names::COUNTERS).expect("it is there")).expect("counters");
        (0..Counter::COUNT)
            .map(|index| counters.get(&index, 0).expect("within the array").iter().sum())
            .collect()
    }

    fn accounts(&self) -> Accounts {
        let traffic: PerCpuArray<_, Traffic> =
            PerCpuArray::try_from(self.ebpf.map(names::TRAFFIC).expect("it is there")).expect("traffic");
        let refusals: PerCpuArray<_, u64> =
            PerCpuArray::try_from(self.ebpf.map(names::REFUSALS).expect("it is there")).expect("refusals");
        let mut accounts = Accounts::default();
        for id in 0..16 {
            let values = traffic.get(&id, 0).expect("within the array");
            let sum = values.iter().fold(Traffic::default(), |sum, value| sum.plus(*value));
            if sum != Traffic::default() {
                accounts.traffic.insert(id, sum);
            }
            let sum: u64 = refusals.get(&id, 0).expect("within the array").iter().sum();
            if sum != 0 {
                accounts.refusals.insert(id, sum);
            }
        }
        accounts
    }

    fn flows(&self) -> BTreeMap<FlowKey, Flow> {
        let flows: HashMap<_, FlowKey, Flow> =
            HashMap::try_from(self.ebpf.map(names::FLOWS).expect("it is there")).expect("flows");
        flows
            .iter()
            .map(|entry| entry.expect("an entry"))
            .map(|(key, flow)| (key, Flow { created_ns: 0, seen_ns: 0, ..flow }))
            .collect()
    }
}
