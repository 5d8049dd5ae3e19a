//! The table.

use super::{
    Fails::{Collects, Says, Waits},
    Limit,
    Way::{Dual, Facade, Fallen, Legacy},
};

/// All differences. A case that is not here behaves as over p2p alone.
pub const LIMITS: &[Limit] = &[
    Limit {
        why: "A request body is JSON, of at most 256 KiB, and is in memory before the request is sent: a `TunnelRequest` holds \
              it as a value. All else is refused, not altered.",
        ways: &[Legacy, Fallen, Facade],
        cases: &[
            ("abort::a_handler_may_ignore_the_request_body", Says("bodies of at most 262144 bytes")),
            ("abort::an_aborted_upload_is_an_error_of_the_handlers_body", Collects("a response or an error")),
            ("abort::dropping_a_response_ends_its_upload", Collects("a response or an error")),
            ("abort::dropping_the_request_in_its_upload_reaches_both_ends", Says("bodies of at most 262144 bytes")),
            ("abort::nothing_is_delivered_after_an_abort", Collects("a response or an error")),
            (
                "backpressure::stalled_handlers_hold_bounded_memory_and_delay_nobody",
                Says("bodies of at most 262144 bytes"),
            ),
            ("bodies::a_huge_piece_arrives", Says("bodies of at most 262144 bytes")),
            ("bodies::a_known_length_is_known_to_the_reader", Says("the tunnel carries no body that is not JSON")),
            (
                "bodies::an_upload_of_the_wrong_length_is_an_error_of_the_handlers_body",
                Says("the request body has 10 bytes, not the 11"),
            ),
            ("bodies::buffered_ones_of_every_size_go_both_ways", Says("the tunnel carries no body that is not JSON")),
            ("bodies::empty_pieces_are_harmless", Says("the tunnel carries no body that is not JSON")),
            (
                "bodies::ones_of_known_length_and_every_size_go_both_ways",
                Says("the tunnel carries no body that is not JSON"),
            ),
            (
                "bodies::ones_of_unknown_length_and_every_size_go_both_ways",
                Says("the tunnel carries no body that is not JSON"),
            ),
            ("bodies::thousands_of_single_bytes_arrive", Says("the tunnel carries no body that is not JSON")),
            ("concurrency::answers_are_not_mixed_up", Says("the tunnel carries no body that is not JSON")),
            ("errors::a_streamed_body_does_not_come_back", Says("left: Unsupported")),
            ("limits::the_limit_of_messages_is_none_of_bodies", Says("bodies of at most 262144 bytes")),
            ("methods::any_of_them_may_have_a_body", Says("the tunnel carries no body that is not JSON")),
            ("restart::what_is_in_flight_fails_when_the_host_is_killed", Collects("a head")),
            ("restart::what_is_in_flight_fails_when_the_host_stops", Collects("a head")),
            ("streaming::a_response_may_begin_while_the_upload_streams", Collects("a response or an error")),
            ("streaming::a_response_may_end_before_the_upload", Collects("a response or an error")),
            ("streaming::both_directions_take_turns_in_one_exchange", Collects("a response or an error")),
            (
                "streaming::the_first_piece_of_an_upload_arrives_before_the_last_is_made",
                Collects("a response or an error"),
            ),
            ("streaming::unread_bodies_leave_no_trace", Says("the tunnel carries no body that is not JSON")),
            ("streaming::uploads_and_downloads_run_at_once", Says("bodies of at most 262144 bytes")),
            (
                "timeouts::an_upload_that_stands_still_is_a_timeout_of_the_handlers_body",
                Collects("a response or an error"),
            ),
            ("trailers::they_go_both_ways", Says("trailers")),
        ],
    },
    Limit {
        why: "The methods are GET, HEAD, POST, PUT, PATCH and DELETE. All others are refused.",
        ways: &[Legacy, Fallen, Facade],
        cases: &[
            (
                "methods::options_of_the_whole_server_keeps_its_asterisk",
                Says("the tunnel does not carry the method OPTIONS"),
            ),
            ("methods::standard_ones_and_unknown_ones_arrive", Says("the tunnel does not carry the method OPTIONS")),
        ],
    },
    Limit {
        why: "Of the headers of a request, `accept` and `range` arrive; its query is a map, written out anew. A response has one \
              text for each header. There are no trailers.",
        ways: &[Legacy, Fallen, Facade],
        cases: &[
            ("headers::a_response_head_over_the_limit_is_a_failure_of_the_service", Says("status: 200")),
            ("ranges::an_unchanged_file_is_304_with_its_headers", Says("left: 200\n right: 304")),
            ("targets::long_ones_arrive", Says("q=\"")),
            ("targets::raw_queries_arrive_exactly", Says("left: \"/\"\n right: \"/?\"")),
            ("trailers::too_many_are_an_error_of_the_body", Says("the body ended well")),
        ],
    },
    Limit {
        why: "So it is with these headers. A tunnel server also refuses heads that are too large, and adds a `content-type`, \
              a `content-length` and others to a response.",
        ways: &[Legacy, Fallen],
        cases: &[
            ("headers::a_thousand_fields_arrive", Says("the tunnel carries heads of up to")),
            ("headers::a_value_of_60_kib_arrives", Says("left: 7\n right: 3")),
            ("headers::raw_bytes_arrive", Says("x-every\n  left: []")),
            ("headers::repeated_values_keep_their_order", Says("left: 7\n right: 8")),
            ("headers::the_tunnel_acts_on_none_of_them", Says("left: 8\n right: 13")),
            ("tunnel::a_response_streams_as_any_other", Says("left: 5\n right: 2")),
            ("tunnel::the_golden_responses_pass", Says("access-control-allow-credentials")),
        ],
    },
    Limit {
        why: "So it is with these headers. What is dropped makes no request too large; a request with `if-range` is refused, \
              for without it the service may send another part than was asked for.",
        ways: &[Facade],
        cases: &[
            ("headers::a_request_head_over_the_limit_is_never_delivered", Says("left: Internal\n right: TooLarge")),
            ("headers::a_thousand_fields_arrive", Says("left: 2\n right: 1002")),
            ("headers::a_value_of_60_kib_arrives", Says("left: 2\n right: 3")),
            ("headers::raw_bytes_arrive", Says("left: 2\n right: 7")),
            ("headers::repeated_values_keep_their_order", Says("left: 2\n right: 8")),
            ("headers::the_tunnel_acts_on_none_of_them", Says("left: 2\n right: 13")),
            ("ranges::if_range_decides_at_the_service", Says("the tunnel drops the header if-range")),
            ("tunnel::a_response_streams_as_any_other", Says("left: 1\n right: 2")),
        ],
    },
    Limit {
        why: "There is one form: what was born as HTTP is a `TunnelRequest` from the client on.",
        ways: &[Facade],
        cases: &[("tunnel::both_forms_may_be_mixed", Says("right: \"http /1\""))],
    },
    Limit {
        why: "The tunnel server makes its own `TunnelRequest` of what the client sends over HTTP, with its own number.",
        ways: &[Legacy, Fallen],
        cases: &[
            ("tunnel::a_request_arrives_as_it_was", Says("among the headers of the request is not text")),
            ("tunnel::both_forms_may_be_mixed", Says("right: \"tunnel 0\"")),
            ("tunnel::every_method_and_payload_arrives", Says("request_id")),
            ("tunnel::payloads_arrive_up_to_the_limit", Says("request_id")),
            ("tunnel::request_ids_are_exact_up_to_the_largest", Says("request_id")),
            ("tunnel::the_golden_requests_arrive_equal", Says("request_id")),
            ("tunnel::the_golden_variants_arrive_equal", Says("request_id")),
            ("tunnel::the_profile_is_none_or_any_text", Says("request_id")),
        ],
    },
    Limit {
        why: "The length of a response body is what a header says.",
        ways: &[Legacy, Fallen, Facade],
        cases: &[("ranges::a_part_is_206_with_exactly_its_bytes", Says("bytes=0-0\n  left: None"))],
    },
    Limit {
        why: "The tunnel server drops the `content-length` of a 204.",
        ways: &[Legacy, Fallen],
        cases: &[(
            "bodies::responses_without_a_body_keep_their_headers",
            Says("no entry found for key \"content-length\""),
        )],
    },
    Limit {
        why: "A body that breaks off is cut, without a word why.",
        ways: &[Legacy, Fallen],
        cases: &[
            ("abort::a_service_that_gives_up_a_body_is_heard", Says("left: ConnectionLost")),
            ("bodies::one_that_breaks_off_is_an_error", Says("left: ConnectionLost")),
            ("bodies::one_that_fails_in_place_of_its_end_is_an_error", Says("left: ConnectionLost")),
            ("errors::every_kind_in_mid_body_arrives_as_such", Says("left: ConnectionLost")),
        ],
    },
    Limit {
        why: "A body that breaks off is cut by `abort_request`, which has no word why.",
        ways: &[Facade],
        cases: &[
            ("abort::a_service_that_gives_up_a_body_is_heard", Says("left: Aborted")),
            ("bodies::one_that_breaks_off_is_an_error", Says("left: Aborted")),
            ("bodies::one_that_fails_in_place_of_its_end_is_an_error", Says("left: Aborted")),
            ("errors::every_kind_in_mid_body_arrives_as_such", Says("left: Aborted")),
        ],
    },
    Limit {
        why: "A body that does not fit into the length that was declared is known before its head is sent, if the first piece \
              shows it: there is no response then.",
        ways: &[Legacy, Fallen, Facade],
        cases: &[(
            "bodies::one_of_the_wrong_length_is_an_error",
            Says("the body of the response is longer than it was said to be"),
        )],
    },
    Limit {
        why: "Small pieces travel in packets of up to 64 KiB, 32 of which may be on their way.",
        ways: &[Legacy, Fallen],
        cases: &[(
            "backpressure::thousands_of_small_pieces_wait_without_harm_and_arrive_in_order",
            Says("pieces were pulled"),
        )],
    },
    Limit {
        why: "A host has one limit for all of its clients, and cannot tell them.",
        ways: &[Legacy, Fallen],
        cases: &[
            ("concurrency::the_hosts_lower_limit_makes_requests_wait_and_not_fail", Says("too many requests")),
            ("limits::requests_are_limited_per_client", Says("too many requests")),
        ],
    },
    Limit {
        why: "A WebSocket is at `/ws`, and carries JSON in the form of the tunnel, in texts of up to 64 KiB through a tunnel \
              server. Its handshake is with whoever has the client's end of the tunnel; the host hears of it with its first \
              message. Nobody hears of close codes.",
        ways: &[Legacy, Fallen, Facade],
        cases: &[
            (
                "backpressure::an_unread_websocket_of_a_client_stops_its_service",
                Says("the tunnel carries no WebSocket but /ws"),
            ),
            (
                "backpressure::an_unread_websocket_stops_its_sender_and_delays_nobody",
                Says("the tunnel carries no binary"),
            ),
            ("errors::a_websocket_that_panics_harms_only_itself", Says("the tunnel carries no WebSocket but /ws")),
            ("errors::every_kind_of_a_websocket_arrives_as_such", Says("the tunnel carries no WebSocket but /ws")),
            ("hub::closing_some_leaves_the_others_open", Waits("a message")),
            ("limits::a_message_of_the_service_over_the_limit_ends_the_websocket", Waits("the service, sending")),
            ("limits::a_message_over_the_hosts_limit_ends_the_websocket", Waits("the end at the service")),
            (
                "limits::a_message_over_the_senders_limit_is_an_error_and_so_is_what_follows",
                Says("the tunnel carries no binary"),
            ),
            ("limits::websockets_are_limited_by_the_host", Says("Accepted")),
            ("timeouts::a_handshake_without_an_answer_is_a_timeout", Says("Accepted")),
            ("websocket::a_client_that_dies_is_noticed_by_the_service", Waits("the end")),
            ("websocket::a_client_that_drops_its_session_is_noticed_by_the_service", Waits("the end")),
            ("websocket::a_close_overtakes_nothing", Says("the tunnel carries no binary")),
            ("websocket::a_host_that_is_killed_is_an_error", Says("the tunnel carries only JSON on WebSockets")),
            ("websocket::a_host_that_stops_is_an_error", Says("the tunnel carries only JSON on WebSockets")),
            ("websocket::a_large_download_does_not_stop_a_websocket", Says("the tunnel carries no binary")),
            ("websocket::a_rejection_carries_the_whole_response", Says("accepted")),
            ("websocket::a_service_that_drops_its_session_is_an_error", Waits("the service, sending")),
            ("websocket::a_service_that_fails_is_an_error", Waits("a message or an error")),
            ("websocket::an_attempt_that_is_given_up_reaches_the_service", Says("no answer is expected")),
            ("websocket::close_codes_of_the_client_arrive", Waits("the close")),
            ("websocket::close_codes_of_the_service_arrive", Waits("the service, sending")),
            ("websocket::messages_keep_their_order", Says("the tunnel carries no binary")),
            (
                "websocket::messages_of_every_kind_and_size_come_back",
                Says("the tunnel carries only JSON on WebSockets"),
            ),
            ("websocket::the_handshake_arrives_exactly", Says("the tunnel carries no WebSocket but /ws")),
            ("websocket::the_service_may_go_on_after_the_clients_close", Waits("the close")),
            ("websocket::the_service_speaks_when_it_wants", Waits("the service, sending")),
        ],
    },
    Limit {
        why: "No message tells the loop that a WebSocket client has left.",
        ways: &[Facade],
        cases: &[
            ("hub::a_client_that_goes_takes_only_its_own_along", Waits("the hub has noticed")),
            ("hub::one_that_comes_back_has_a_new_number", Waits("the hub has noticed")),
            ("hub::one_that_leaves_is_left_out", Waits("the hub has noticed")),
        ],
    },
    Limit {
        why: "All WebSocket clients of a receiver speak through one WebSocket, which takes one place.",
        ways: &[Facade],
        cases: &[("limits::websockets_are_limited_by_the_client", Says("Accepted"))],
    },
    Limit {
        why: "The tunnel server tells a client nothing about its host until it asks.",
        ways: &[Legacy, Fallen],
        cases: &[("restart::health_follows_the_host", Waits("the host is gone"))],
    },
    Limit {
        why: "When both transports fail, the words of both are in the failure.",
        ways: &[Fallen],
        cases: &[("errors::every_kind_arrives_as_such", Says("neither transport works for this request"))],
    },
    Limit {
        why: "Each transport has places of its own: who finds none over p2p may find one at the tunnel server.",
        ways: &[Dual],
        cases: &[
            ("concurrency::a_body_under_way_keeps_its_place", Says("status: 200")),
            ("concurrency::a_request_without_a_place_is_overloaded_and_comes_back", Says("right: (6, 4)")),
            ("limits::requests_are_limited_per_client", Says("status: 200")),
            ("limits::websockets_are_limited_by_the_client", Says("Some(\"p2p-failed\")")),
            ("limits::websockets_are_limited_by_the_host", Says("Some(\"p2p-failed\")")),
        ],
    },
    Limit {
        why: "What fails over p2p, and may be repeated, is asked for once more at the tunnel server, which loses trailers and \
              accepts every WebSocket.",
        ways: &[Dual],
        cases: &[
            (
                "errors::every_kind_of_a_websocket_arrives_as_such",
                Says("neither transport works for this request; p2p: why 1"),
            ),
            ("timeouts::a_handshake_without_an_answer_is_a_timeout", Says("Some(\"p2p-failed\")")),
            ("timeouts::no_head_in_time_may_have_been_delivered", Says("left: Internal\n right: Timeout")),
            ("trailers::too_many_are_an_error_of_the_body", Says("the body ended well")),
        ],
    },
    Limit {
        why: "A short request body is in memory before the request is sent, so that it can be sent again.",
        ways: &[Dual],
        cases: &[(
            "bodies::an_upload_of_the_wrong_length_is_an_error_of_the_handlers_body",
            Says("the request body has 10 bytes, not the 11"),
        )],
    },
];
