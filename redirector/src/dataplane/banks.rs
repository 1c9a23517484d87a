//! Which banks of slots may still be read by packets on their way. Pure.

use std::collections::BTreeSet;

use super::plan::{Applied, Op};

/// A bank of one service: service id and bank.
type Bank = (u32, u32);

/// Banks that a switch has taken out of use, and whose last readers may not have ended yet.
///
/// A packet reads the service's value and then a slot of the bank that it names. Were that bank written between the two,
/// the packet would follow neither the old answer nor the new one.
#[derive(Debug, Default)]
pub(super) struct Banks {
    retired: BTreeSet<Bank>,
}

/// What will be safe to write once every program run of now has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settling(BTreeSet<Bank>);

impl Banks {
    /// Would carrying out `ops` write where somebody may still read?
    pub(super) fn in_the_way_of(&self, ops: &[Op]) -> bool {
        ops.iter().any(|op| match op {
            Op::WriteSlots { service, bank, .. } => self.retired.contains(&(*service, *bank)),
            Op::WriteBackend { .. } | Op::Switch { .. } | Op::RemoveService { .. } | Op::Reset { .. } => {
                false
            }
        })
    }

    /// Takes note of the banks that `ops` have taken out of use.
    pub(super) fn retire(&mut self, ops: &[Op], before: &Applied) {
        for op in ops {
            let (key, bank) = match op {
                Op::Switch { key, service } => (key, Some(service.bank)),
                Op::RemoveService { key } => (key, None),
                Op::WriteBackend { .. } | Op::WriteSlots { .. } | Op::Reset { .. } => continue,
            };
            let old = before.services.get(key).map(|entry| entry.service);
            if let Some(old) = old.filter(|old| bank != Some(old.bank)) {
                self.retired.insert((old.id, old.bank));
            }
        }
    }

    /// What a wait for readers that begins now will settle.
    pub(super) fn settling(&self) -> Settling {
        Settling(self.retired.clone())
    }

    pub(super) fn settled(&mut self, done: &Settling) {
        self.retired.retain(|bank| !done.0.contains(bank));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use redirector_common::{Service, ServiceKey};

    use super::*;
    use crate::dataplane::plan::AppliedService;

    #[test]
    fn a_bank_is_in_the_way_from_its_retirement_until_it_has_settled() {
        let key = ServiceKey::tcp(Ipv4Addr::new(10, 0, 0, 100).into(), 6379);
        let service = Service { id: 7, bank: 0, ..Service::default() };
        let before = Applied {
            services: [(key, AppliedService { service, slots: vec![] })].into(),
            ..Applied::default()
        };
        let write = |bank| [Op::WriteSlots { service: 7, bank, slots: vec![1] }];
        let mut banks = Banks::default();
        assert!(!banks.in_the_way_of(&write(0)));

        banks.retire(&[Op::Switch { key, service: Service { bank: 1, ..service } }], &before);
        assert!(banks.in_the_way_of(&write(0)) && !banks.in_the_way_of(&write(1)));
        let settling = banks.settling();
        banks.settled(&settling);
        assert!(!banks.in_the_way_of(&write(0)));

        banks.retire(&[Op::Switch { key, service }], &before);
        assert!(!banks.in_the_way_of(&write(0)), "the bank stays in use: nothing has been retired");
        banks.retire(&[Op::RemoveService { key }], &before);
        assert!(banks.in_the_way_of(&write(0)));
    }
}
