//! Is a server well? A pure state machine, and the probes that feed it.
