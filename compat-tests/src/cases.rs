//! What every tunnel does.

pub mod abort;
pub mod backpressure;
pub mod bodies;
pub mod concurrency;
pub mod errors;
pub mod headers;
pub mod hub;
pub mod identity;
pub mod limits;
pub mod methods;
pub mod ranges;
pub mod restart;
pub mod statuses;
pub mod streaming;
pub mod targets;
pub mod timeouts;
pub mod trailers;
pub mod tunnel;
pub mod websocket;

/// Calls `$callback!` with `$prefix` and the whole list: modules, and the cases in each.
#[macro_export]
macro_rules! for_each_case {
    ($callback:ident! { $($prefix:tt)* }) => {
        $callback! { $($prefix)*
            abort {
                dropping_the_request_drops_the_handlers_future
                dropping_the_request_in_its_upload_reaches_both_ends
                dropping_a_response_body_drops_the_handlers_body
                dropping_a_stalled_body_drops_the_handlers_body
                dropping_a_response_ends_its_upload
                an_aborted_upload_is_an_error_of_the_handlers_body
                a_handler_may_ignore_the_request_body
                a_service_that_gives_up_a_body_is_heard
                nothing_is_pulled_after_an_abort
                nothing_is_delivered_after_an_abort
                an_aborted_request_is_not_repeated
                an_abort_disturbs_no_other_exchange
                aborted_requests_give_their_places_back
            }
            backpressure {
                stalled_readers_hold_bounded_memory_and_delay_nobody
                stalled_handlers_hold_bounded_memory_and_delay_nobody
                thousands_of_small_pieces_wait_without_harm_and_arrive_in_order
                a_slow_reader_gets_everything
                an_unread_websocket_stops_its_sender_and_delays_nobody
                an_unread_websocket_of_a_client_stops_its_service
            }
            bodies {
                buffered_ones_of_every_size_go_both_ways
                ones_of_known_length_and_every_size_go_both_ways
                ones_of_unknown_length_and_every_size_go_both_ways
                a_huge_piece_arrives
                thousands_of_single_bytes_arrive
                empty_pieces_are_harmless
                a_known_length_is_known_to_the_reader
                responses_without_a_body_keep_their_headers
                one_of_the_wrong_length_is_an_error
                an_upload_of_the_wrong_length_is_an_error_of_the_handlers_body
                one_that_breaks_off_is_an_error
                one_that_fails_in_place_of_its_end_is_an_error
            }
            concurrency {
                a_thousand_requests_are_in_flight_at_once
                answers_are_not_mixed_up
                slow_answers_do_not_hold_back_quick_ones
                requests_after_an_answer_are_handled_after_it
                a_request_without_a_place_is_overloaded_and_comes_back
                a_waiting_request_gets_the_place_that_becomes_free
                a_body_under_way_keeps_its_place
                the_hosts_lower_limit_makes_requests_wait_and_not_fail
            }
            errors {
                every_kind_arrives_as_such
                every_kind_in_mid_body_arrives_as_such
                every_kind_of_a_websocket_arrives_as_such
                only_what_was_not_executed_comes_back
                what_was_answered_does_not_come_back
                a_streamed_body_does_not_come_back
                what_comes_back_can_be_sent_again
                a_failure_arrives_while_the_upload_runs
                a_handler_that_panics_harms_only_its_request
                a_body_that_panics_is_an_error_of_the_body
                a_websocket_that_panics_harms_only_itself
            }
            headers {
                repeated_values_keep_their_order
                raw_bytes_arrive
                the_tunnel_acts_on_none_of_them
                a_thousand_fields_arrive
                a_value_of_60_kib_arrives
                a_request_head_over_the_limit_is_never_delivered
                a_response_head_over_the_limit_is_a_failure_of_the_service
            }
            hub {
                a_reply_goes_to_its_asker_only
                replies_carry_the_exact_id_of_their_request
                a_list_reaches_those_on_it
                an_empty_list_reaches_nobody
                an_exclude_list_leaves_out_those_on_it
                a_broadcast_reaches_everyone_once
                closing_some_leaves_the_others_open
                one_that_leaves_is_left_out
                one_that_comes_back_has_a_new_number
                a_client_that_goes_takes_only_its_own_along
                everyone_hears_the_same_order
            }
            identity {
                a_wrong_credential_is_unauthorized
                requests_of_a_wrong_credential_never_reach_the_handler
                a_wrong_client_id_is_unauthorized
                the_client_id_of_the_host_is_announced
                two_clients_get_their_own_answers
                a_client_that_is_closed_does_not_touch_the_other
                a_client_that_dies_does_not_touch_the_other
                a_client_that_is_refused_does_not_touch_the_other
                closing_a_client_is_an_error_of_its_bodies
            }
            limits {
                requests_are_limited_per_client
                websockets_are_limited_by_the_host
                websockets_are_limited_by_the_client
                a_message_over_the_senders_limit_is_an_error_and_so_is_what_follows
                a_message_over_the_hosts_limit_ends_the_websocket
                a_message_of_the_service_over_the_limit_ends_the_websocket
                ended_websockets_give_their_places_back
                the_limit_of_messages_is_none_of_bodies
            }
            methods {
                standard_ones_and_unknown_ones_arrive
                any_of_them_may_have_a_body
                options_of_the_whole_server_keeps_its_asterisk
            }
            ranges {
                a_part_is_206_with_exactly_its_bytes
                several_parts_are_one_answer
                a_part_that_does_not_exist_is_416
                if_range_decides_at_the_service
                an_unchanged_file_is_304_with_its_headers
            }
            restart {
                a_client_finds_a_stopped_host_again
                a_client_finds_a_killed_host_again
                a_host_that_is_back_at_once_answers_again
                what_is_in_flight_fails_when_the_host_is_killed
                what_is_in_flight_fails_when_the_host_stops
                requests_to_a_dead_host_fail_and_come_back
                a_drain_lets_responses_end_and_takes_no_new_requests
                a_drain_that_takes_too_long_cuts_what_is_left
                a_client_finds_a_drained_host_again
                a_closed_client_fails_at_once
                closing_a_client_ends_what_it_has_in_flight
                a_client_that_dies_is_noticed_by_the_handler
                health_follows_the_host
            }
            statuses {
                every_one_from_200_to_999_arrives
                a_response_says_how_it_travelled
            }
            streaming {
                the_head_arrives_before_the_body
                event_streams_are_not_held_back
                large_pieces_are_not_held_back
                the_first_piece_of_an_upload_arrives_before_the_last_is_made
                both_directions_take_turns_in_one_exchange
                a_response_may_begin_while_the_upload_streams
                a_response_may_end_before_the_upload
                uploads_and_downloads_run_at_once
                unread_bodies_leave_no_trace
            }
            targets {
                raw_paths_arrive_exactly
                raw_queries_arrive_exactly
                long_ones_arrive
            }
            timeouts {
                no_head_in_time_may_have_been_delivered
                a_handshake_without_an_answer_is_a_timeout
                a_body_that_stands_still_is_a_timeout
                an_upload_that_stands_still_is_a_timeout_of_the_handlers_body
                a_slow_body_that_moves_is_no_timeout
                a_reader_that_pauses_is_no_timeout
            }
            trailers {
                they_go_both_ways
                too_many_are_an_error_of_the_body
            }
            tunnel {
                a_request_arrives_as_it_was
                request_ids_are_exact_up_to_the_largest
                the_profile_is_none_or_any_text
                every_method_and_payload_arrives
                the_golden_requests_arrive_equal
                the_golden_variants_arrive_equal
                the_golden_responses_pass
                a_large_response_survives_being_packets
                a_response_streams_as_any_other
                payloads_arrive_up_to_the_limit
                both_forms_may_be_mixed
            }
            websocket {
                messages_of_every_kind_and_size_come_back
                messages_keep_their_order
                the_service_speaks_when_it_wants
                the_handshake_arrives_exactly
                a_rejection_carries_the_whole_response
                close_codes_of_the_client_arrive
                close_codes_of_the_service_arrive
                the_service_may_go_on_after_the_clients_close
                a_close_overtakes_nothing
                a_client_that_drops_its_session_is_noticed_by_the_service
                a_service_that_drops_its_session_is_an_error
                a_service_that_fails_is_an_error
                a_client_that_dies_is_noticed_by_the_service
                a_host_that_stops_is_an_error
                a_host_that_is_killed_is_an_error
                an_attempt_that_is_given_up_reaches_the_service
                fifty_of_them_do_not_mix
                a_large_download_does_not_stop_a_websocket
            }
        }
    };
}
