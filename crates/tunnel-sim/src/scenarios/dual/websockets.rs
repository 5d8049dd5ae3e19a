//! WebSockets live and die with their transport; whoever opens a new one gets it over the other.

use crate::Stage;

pub(in crate::scenarios) async fn websockets(_stage: Stage) {}
