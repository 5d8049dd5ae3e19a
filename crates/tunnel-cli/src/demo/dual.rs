//! The demo's second half: a tunnel server beside the peer-to-peer way, which is cut and comes back while requests pass.

mod load;
mod report;
mod stack;
mod steps;

use self::{load::Load, report::Report, stack::DualStack};
use super::stack::Stack;
use crate::{error::CliError, output::Output};

/// The second way, still running.
pub(super) struct Dual {
    stack: DualStack,
    /// How many steps went otherwise than they should.
    pub(super) differences: usize,
}

impl Dual {
    /// Where the gateway listens that has both ways.
    pub(super) const fn gateway(&self) -> std::net::SocketAddr {
        self.stack.gateway
    }
}

/// Plays all steps and prints what came of them. Dropping the future stops the second way.
pub(super) async fn run(stack: &mut Stack, output: Output) -> Result<Dual, CliError> {
    let dual = DualStack::start(stack).await?;
    output.note(format!(
        "host  ==  tunnel server http://{}  ==  gateway http://{}, which also has the peer-to-peer way",
        dual.tunnel, dual.gateway
    ));
    let mut report = Report::new(output);
    steps::connect(&dual, &mut report).await;
    let load = Load::start(dual.gateway);
    steps::cut_during_a_download(stack, &dual, &mut report).await;
    steps::while_cut(&dual, &mut report).await;
    steps::back_again(stack, &dual, &mut report).await;
    steps::rollout(&dual, &mut report).await;
    steps::kill_switch(&dual, &mut report).await;
    steps::compare(&dual, &mut report).await;
    report.add(load.end().await);
    report.print();
    let differences = report.differences();
    Ok(Dual { stack: dual, differences })
}
