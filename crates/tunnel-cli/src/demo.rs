//! `tunnel-p2p demo`: service, host and gateway in one process, and a client that checks every byte.

mod checks;
mod client;
mod report;
pub mod service;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::output::Output;

    #[tokio::test]
    async fn the_checks_pass_where_no_tunnel_is_in_the_way() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client::Client::new(listener.local_addr().unwrap());
        let mut report = report::Report::new(Output::new(false, true), checks::COUNT);
        tokio::select! {
            result = service::serve(listener) => panic!("the service stopped: {result:?}"),
            () = checks::run(client, &mut report) => {}
        }
        report.print(Output::new(false, false));
        assert_eq!(report.totals(), (usize::try_from(checks::COUNT).unwrap(), 0));
    }
}
