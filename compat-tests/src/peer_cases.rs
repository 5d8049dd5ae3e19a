//! What every backend of `p2p_provider` does, and what a host of `tunnel_p2p` makes of what comes over it.

#![expect(missing_docs, reason = "the name of a case says what holds")]

pub mod death;
pub mod hello;
pub mod lifecycle;
pub mod messages;
pub mod paths;
pub mod pressure;
pub mod refusal;
pub mod spread;
pub mod streams;
pub mod topology;
pub mod wire;

mod distant;
mod pair;
mod patience;
mod raw;

/// As [`for_each_case!`](crate::for_each_case), for the cases about peers.
#[macro_export]
macro_rules! for_each_peer_case {
    ($callback:ident! { $($prefix:tt)* }) => {
        $callback! { $($prefix)*
            lifecycle {
                both_sides_know_who_the_other_is
                an_open_connection_is_listed_on_both_sides
                connections_are_listed_oldest_first
                a_dial_is_listed_while_it_goes_on
                a_closed_connection_is_no_longer_listed
                the_reason_and_the_code_of_a_close_reach_the_other_side
                the_first_close_counts
                disconnect_closes_every_connection_to_that_peer_and_no_other
                a_peer_can_be_dialled_again_after_a_close
                a_connection_closes_with_its_last_clone
                a_stream_keeps_its_connection_open
                waiting_for_the_close_does_not_keep_a_connection_open
                closing_a_peer_is_seen_at_once_by_all_its_connections
                a_closed_peer_refuses_work
                no_connection_is_lost_when_accept_is_cancelled
                an_abandoned_dial_does_not_hinder_the_next
                disconnecting_a_stranger_is_nothing
                the_side_that_was_dialled_can_disconnect
                large_codes_and_any_words_arrive_with_a_close
                the_reason_of_a_close_is_told_to_all_who_ask
                an_accept_that_waits_ends_with_its_peer
                clones_of_a_peer_are_one_peer
            }
            topology {
                a_star_of_ten_dials_at_once
                a_word_goes_round_a_ring
                five_peers_form_a_full_mesh
                a_peer_that_leaves_a_mesh_is_missed_by_all_and_hurts_none
                two_connections_between_the_same_peers_are_two
                both_sides_may_dial_at_once
                a_peer_dials_while_it_listens
                many_connections_between_two_peers_come_and_go
            }
            streams {
                a_finish_is_a_clean_end
                an_unfinished_stream_never_ends_cleanly
                the_code_of_a_reset_arrives
                a_reset_right_after_a_finish_never_leaves_a_short_stream
                a_reset_cuts_what_waits_for_the_reader
                the_code_of_a_stop_arrives
                a_stop_wakes_a_writer_that_waits
                a_dropped_reader_stops_the_writer
                stopped_is_none_once_everything_is_delivered
                a_finished_stream_takes_no_more
                both_sides_give_a_stream_the_same_number
                a_close_ends_readers_and_writers_with_its_reason
                opening_waits_at_the_limit_until_it_is_raised
                streams_in_both_directions_have_their_own_limit
                a_stream_that_ends_makes_room_for_another
                a_wider_window_lets_a_waiting_writer_go_on
                the_peer_sees_a_stream_with_its_first_write
                a_stream_that_is_finished_unwritten_arrives_empty
                the_directions_of_a_stream_end_alone
                a_stop_of_one_direction_leaves_the_other
                both_sides_of_a_connection_open_streams
                no_two_streams_of_a_connection_share_a_number
                streams_arrive_in_the_order_in_which_they_were_opened
                chunks_arrive_in_order_and_unchanged
                no_stream_is_lost_when_accept_is_cancelled
                no_byte_is_lost_when_a_read_is_cancelled
                an_open_that_is_cancelled_takes_no_place
                an_open_that_waits_fails_when_the_connection_closes
                a_reader_that_has_stopped_reads_no_more
                a_writer_that_has_reset_writes_no_more
                a_reset_after_an_acknowledged_finish_changes_nothing
                an_end_is_read_as_often_as_one_likes
                large_codes_arrive_with_resets_and_stops
                the_window_of_a_connection_is_shared_by_its_streams
            }
            messages {
                messages_keep_their_order_and_their_borders
                messages_go_both_ways_at_once
                the_largest_message_arrives_whole
                a_message_over_the_limit_is_not_sent_and_hurts_nobody
                a_message_over_the_limit_is_not_received
                an_end_inside_a_message_is_an_error
                a_sender_that_is_dropped_unfinished_is_an_error
                a_close_ends_a_wait_for_messages
                no_message_is_lost_when_recv_is_cancelled
                messages_of_no_bytes_are_messages
                finishing_without_a_message_tells_the_peer
                a_reader_that_does_not_read_holds_its_sender_back
                a_send_that_is_cancelled_in_the_middle_breaks_the_channel
            }
            pressure {
                small_writes_up_to_the_limit_and_a_stalled_body_leave_the_connection_alone
                far_past_the_limit_the_whole_connection_is_lost
                stalled_bodies_on_a_second_connection_do_not_touch_requests_on_the_first
                one_stalled_body_does_not_stall_the_others_of_its_connection
                a_stalled_body_does_not_stall_the_other_direction
                abandoned_bodies_leave_room_for_others
            }
            paths {
                the_path_is_the_one_that_the_backend_promises
                a_path_leads_to_an_address_of_the_peer_and_has_a_round_trip_time
                a_peer_knows_who_and_where_it_is
                path_changes_wait_while_the_connection_is_open
                path_changes_end_with_the_connection
                watching_the_path_does_not_keep_a_connection_open
            }
            refusal {
                a_second_listener_is_refused_until_the_first_is_gone
                an_open_connection_outlives_its_listener
                another_key_at_the_right_address_is_not_believed
                a_protocol_that_the_peer_does_not_speak_is_named
                any_of_the_protocols_of_a_listener_will_do
                a_dead_address_costs_the_timeout_of_the_dial_and_no_more
                a_peer_that_does_not_listen_cannot_be_dialled
                a_peer_without_an_address_is_not_dialled
                a_peer_that_has_stopped_listening_cannot_be_dialled
                a_failed_dial_is_forgotten_and_the_next_one_works
                a_dial_to_a_dead_peer_does_not_delay_others
            }
            death {
                a_peer_that_is_killed_is_noticed
                a_peer_that_freezes_is_noticed
                the_death_of_the_dialler_is_noticed_too
                readers_and_writers_learn_of_a_death
                the_survivors_of_a_death_go_on
                an_idle_connection_stays_open
                a_dial_to_a_killed_peer_takes_its_timeout_and_no_more
                nobody_answers_at_the_address_of_a_killed_peer
                a_peer_that_comes_back_is_found_where_it_was
            }
            hello {
                connections_that_begin_wrongly_are_closed_with_a_code
                silence_after_connecting_is_not_waited_for
                another_major_version_is_named_to_the_dialler
                a_client_says_that_its_host_has_another_major_version
                a_higher_minor_version_is_welcome
                unknown_optional_control_frames_are_skipped
                a_ping_is_answered_with_its_number
                control_frames_that_break_the_rules_end_the_connection
                a_control_stream_that_ends_ends_the_connection
                a_flood_of_control_frames_harms_nobody
                a_peer_that_never_answers_a_ping_is_given_up
                a_session_has_one_main_connection
                a_newer_bulk_connection_replaces_the_older_one
                nobody_joins_the_session_of_another_key
                connections_over_the_limit_are_told_so
            }
            wire {
                streams_that_begin_wrongly_are_reset
                heads_that_make_no_sense_are_refused
                bodies_that_break_the_rules_end_in_an_error
                unknown_optional_frames_and_appended_fields_are_ignored
                a_request_that_is_reset_ends_in_an_error
                a_body_goes_on_where_it_was_moved
                a_continuation_may_be_faster_than_its_exchange
                a_body_that_is_announced_as_moved_but_not_sent_ends_in_an_error
                the_second_continuation_of_a_body_is_stopped
                bulk_streams_that_belong_to_nothing_harm_nobody
                a_host_sends_no_more_frames_than_it_has_credits_for
                a_flood_of_frames_that_nobody_reads_harms_only_its_sender
                requests_and_websockets_over_the_limit_are_told_so
                streams_over_the_limit_are_not_opened
            }
            spread {
                the_parts_of_a_body_are_read_in_turn_however_they_arrive
                parts_that_break_the_rules_end_the_body_in_an_error
                all_parts_of_a_body_are_stopped_when_it_fails
                a_reset_of_a_spread_body_may_overtake_its_parts
                a_body_whose_part_never_comes_ends_in_an_error
                a_host_spreads_a_body_only_for_those_who_read_it
                large_bodies_are_spread_both_ways_and_arrive_whole
                many_spread_bodies_leave_streams_to_others
            }
        }
    };
}
