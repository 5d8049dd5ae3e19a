//! The tunnel server's protocol, with one end that does not keep to it: a tunnel server, a host, or an app.

mod at;
pub mod client;
pub mod flow;
pub mod host;
pub mod lifecycle;
pub mod packets;

/// As [`for_each_fallback_case!`](crate::for_each_fallback_case).
#[macro_export]
macro_rules! for_each_legacy_case {
    ($callback:ident! { $($prefix:tt)* }) => {
        $callback! { $($prefix)*
            client {
                a_server_that_is_down_is_unreachable_and_the_request_comes_back
                a_server_that_resets_may_have_taken_the_request
                a_server_that_hangs_before_the_head_is_a_timeout
                a_server_that_hangs_in_the_middle_of_a_body_is_a_timeout
                garbage_is_no_answer
                a_head_without_an_end_is_an_error
                a_body_that_breaks_off_is_an_error
                a_refused_token_is_unauthorized_and_the_request_comes_back
                a_host_that_is_not_there_is_unreachable_and_the_request_comes_back
                the_services_own_words_are_an_answer
                a_websocket_that_is_not_answered_is_an_error
                a_websocket_that_breaks_off_is_an_error
            }
            packets {
                out_of_order_they_arrive_in_order
                repeated_ones_arrive_once
                without_the_last_one_the_body_is_an_error_when_the_host_leaves
                with_a_gap_the_body_is_an_error_when_the_host_leaves
                before_the_head_a_host_that_leaves_is_an_error
                one_that_is_cut_is_no_end_of_the_body
                those_of_nobody_harm_nobody
                those_of_another_host_are_not_taken
                more_than_the_window_end_the_response
                a_reset_is_the_status_of_its_kind_or_cuts_the_body
                texts_and_bytes_that_mean_nothing_harm_nobody
            }
            host {
                malformed_texts_harm_nobody
                bytes_harm_nobody
                a_flood_of_requests_is_refused_beyond_the_limit
                an_abort_in_mid_body_reaches_the_handler
                an_abort_of_nothing_harms_nobody
                a_server_that_refuses_the_token_is_asked_again_later
                a_server_that_answers_garbage_is_asked_again_later
                a_server_that_falls_silent_is_left
            }
            lifecycle {
                a_tunnel_server_that_was_killed_is_found_again
                a_tunnel_server_that_was_stopped_is_found_again
                what_is_in_flight_fails_when_the_tunnel_server_dies
                a_host_that_takes_over_gets_the_requests
                an_abort_reaches_the_handler_through_both
            }
            flow {
                an_unread_gigabyte_costs_little_memory
                small_pieces_cost_little_memory_as_well
                an_unread_response_delays_no_other
                an_unread_response_of_a_host_without_flow_control_is_cut
            }
        }
    };
}
