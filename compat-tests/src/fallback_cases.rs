//! What a router makes of its two transports when one of them, or both, misbehave.

pub mod choice;
pub mod continuation;
pub mod hedging;
pub mod losses;
pub mod operator;
pub mod outage;
pub mod shadow;
mod stage;
pub mod truth;
pub mod websocket;

/// As [`for_each_case!`](crate::for_each_case), for cases that are functions of a [`World`](crate::backend::world::World).
#[macro_export]
macro_rules! for_each_fallback_case {
    ($callback:ident! { $($prefix:tt)* }) => {
        $callback! { $($prefix)*
            choice {
                p2p_is_used_while_it_works
                without_p2p_legacy_answers_at_once
                with_p2p_lost_legacy_answers_at_once
                p2p_is_used_again_once_it_is_back
                an_idle_stall_is_noticed_by_the_next_request
                a_wrong_p2p_credential_leaves_legacy
            }
            outage {
                what_p2p_did_not_deliver_goes_over_legacy_whatever_its_method
                a_get_whose_p2p_is_cut_before_the_head_is_answered_over_legacy
                a_get_whose_p2p_stalls_before_the_head_is_answered_over_legacy
                a_post_whose_p2p_is_cut_before_the_head_is_not_repeated
                a_post_whose_p2p_stalls_before_the_head_is_not_repeated
                a_get_whose_tunnel_server_dies_before_the_head_is_answered_over_p2p
                a_failure_of_the_service_does_not_change_the_transport
                with_both_down_a_request_fails_soon_and_says_why
                with_the_tunnel_server_down_p2p_does_not_care
                a_restarted_tunnel_server_is_found_again
            }
            continuation {
                a_file_whose_p2p_is_cut_continues_over_legacy
                a_file_whose_p2p_stalls_continues_over_legacy
                a_file_whose_tunnel_server_dies_continues_over_p2p
                a_part_of_a_file_continues_within_its_range
                a_body_without_a_validator_is_cut
                a_weak_validator_is_none
                a_file_that_has_changed_is_never_spliced
                a_response_to_a_post_is_cut
                a_body_that_its_service_breaks_off_is_cut
                with_both_down_a_body_is_cut
                a_head_is_whole_as_it_is
            }
            websocket {
                one_opens_over_p2p_while_it_works
                one_whose_p2p_dies_ends_and_the_next_opens_over_legacy
                one_whose_tunnel_server_dies_ends_and_the_next_opens_over_p2p
                one_that_legacy_cannot_carry_fails_clearly
                a_rejection_is_an_answer
            }
            losses {
                headers_that_may_be_lost_do_not_keep_a_request_from_falling_back
                what_makes_a_request_conditional_does
                a_body_that_is_not_json_is_never_altered
                a_body_that_is_too_long_is_never_cut
                a_method_that_the_tunnel_has_no_word_for_is_never_changed
                a_streamed_json_body_falls_back
            }
            operator {
                the_kill_switch_holds_from_the_next_request_on
                an_override_holds_from_the_next_request_on
                p2p_only_never_falls_back
                a_reload_drops_nothing
                rules_decide_by_path_and_method
                a_rollout_of_nothing_and_of_everything
            }
            hedging {
                a_slow_head_is_raced_by_legacy
                the_loser_is_dropped_at_the_handler
                only_safe_requests_are_raced
                a_quick_head_is_not_raced
            }
            shadow {
                equal_answers_match
                different_answers_are_counted_and_change_nothing
                only_safe_requests_are_repeated
            }
            truth {
                counters_and_via_agree_with_the_handler
                decisions_say_what_happened
            }
        }
    };
}
