//! What things cost: list prices of us-east-1, as they were in November 2026, in dollars.
//! Sources: aws.amazon.com/fargate/pricing and aws.amazon.com/step-functions/pricing.

/// When and where the prices were so.
pub const AS_OF: &str = "us-east-1, November 2026";

/// The processor of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Graviton.
    Arm64,
    /// Intel or AMD.
    X86_64,
}

impl Architecture {
    /// An hour of a vCPU and of a GB of memory.
    fn hour(self) -> (f64, f64) {
        match self {
            Self::Arm64 => (0.03238, 0.00356),
            Self::X86_64 => (0.04048, 0.004445),
        }
    }
}

/// What Spot costs of the same on demand: "up to 70 % off", and the price moves.
const SPOT: f64 = 0.3;
/// A state transition of a standard workflow.
const TRANSITION: f64 = 0.025 / 1000.0;

/// The price of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// Its processor.
    pub architecture: Architecture,
    /// Its vCPUs.
    pub cpus: f64,
    /// Its memory, in GB.
    pub memory: f64,
}

impl Prices {
    pub(super) fn of_tasks(&self, on_demand: f64, spot: f64) -> f64 {
        let (cpu, memory) = self.architecture.hour();
        let hour = self.cpus * cpu + self.memory * memory;
        (on_demand + spot * SPOT) / 3600.0 * hour
    }

    pub(super) fn of_transitions(transitions: f64) -> f64 {
        transitions * TRANSITION
    }
}
