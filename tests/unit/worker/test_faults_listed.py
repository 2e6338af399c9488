"""Every fault that an import must survive, with the tests that show it: bad sources, bad services, bad luck.

The end is always the right disk in Azure or a clear condition, with nothing left behind.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
_WORKER = "integration/worker"
_RECONCILERS = "integration/reconcilers"

FAULTS: dict[str, dict[str, tuple[str, ...]]] = {
    # A bad web server.
    "HEAD refused": {f"{_WORKER}/test_server_faults.py": ("test_head_refused",)},
    "no ranges": {
        f"{_WORKER}/test_download.py": (
            "test_without_ranges_it_begins_again",
            "test_a_server_that_answers_with_another_range",
        )
    },
    "wrong length": {
        f"{_WORKER}/test_server_faults.py": ("test_a_length_that_is_too_small", "test_a_length_that_is_no_number"),
        f"{_WORKER}/test_download.py": (
            "test_a_body_that_is_always_too_short",
            "test_an_announced_length_above_the_limit_is_refused_at_once",
        ),
        "e2e/test_refused.py": ("test_truncated_body",),
    },
    "wrong type": {
        f"{_WORKER}/test_server_faults.py": (
            "test_wrong_type",
            "test_a_page_that_calls_itself_a_disk",
            "test_an_encoding_that_nobody_asked_for",
        ),
        "e2e/test_refused.py": ("test_bad_source",),
    },
    "slow": {
        f"{_WORKER}/test_download.py": (
            "test_a_crawl_is_cut_off_and_gone_on_with",
            "test_silence_is_a_dropped_connection",
        )
    },
    "dropping": {
        f"{_WORKER}/test_download.py": (
            "test_dropped_connections_are_gone_on_with",
            "test_a_drip_that_drops_all_the_time_still_ends",
        ),
        "e2e/test_imports.py": ("test_dropped_connections",),
    },
    "changing its file midway": {
        f"{_WORKER}/test_download.py": (
            "test_a_source_that_changes_once_is_fetched_from_the_start",
            "test_a_source_that_changes_all_the_time_is_given_up",
        ),
        f"{_WORKER}/test_upload.py": (
            "test_a_disk_that_changed_is_not_sent",
            "test_an_image_on_a_claim_is_sent_without_a_copy",
        ),
        f"{_WORKER}/test_verify.py": ("test_a_source_that_changes_is_not_used_for_repair",),
        "unit/worker/test_imagedisk.py": ("test_a_file_that_is_cut_off_while_it_is_read",),
    },
    "redirect loops": {
        f"{_WORKER}/test_download.py": ("test_a_circle_of_redirects_ends", "test_redirects_to_forbidden_places")
    },
    "decompression bomb": {
        f"{_WORKER}/test_prepare.py": (
            "test_a_bomb_is_stopped_at_the_limit",
            "test_an_image_that_is_a_bomb_takes_no_room",
        ),
        "unit/worker/test_small.py": ("test_a_bomb_is_met_piece_by_piece",),
        "unit/worker/test_maps.py": ("test_a_compressed_cluster_that_is_a_bomb",),
    },
    "endless body": {f"{_WORKER}/test_download.py": ("test_an_endless_body_stops_at_the_limit",)},
    # A bad registry, bad object storage.
    "other bytes than the digest says": {
        f"{_WORKER}/test_registry.py": (
            "test_a_manifest_that_is_not_the_one_asked_for",
            "test_a_layer_that_is_not_the_one_of_the_manifest",
        )
    },
    "a proof that ends midway": {
        f"{_WORKER}/test_registry.py": (
            "test_a_token_that_ends_in_the_middle_of_a_layer",
            "test_a_token_server_that_is_down_for_a_moment",
        ),
        f"{_WORKER}/test_s3.py": ("test_session_tokens_that_are_renewed_are_taken_up",),
    },
    "a registry that lures elsewhere": {
        f"{_WORKER}/test_registry.py": (
            "test_a_registry_may_not_send_a_client_anywhere_for_a_token",
            "test_the_token_stays_with_the_registry_when_it_sends_elsewhere_for_the_layer",
        ),
        f"{_WORKER}/test_s3.py": ("test_keys_do_not_follow_a_redirect_to_a_stranger",),
    },
    "hostile archives": {
        f"{_WORKER}/test_registry.py": (
            "test_links_are_not_followed",
            "test_a_layer_that_grows_without_end_is_stopped",
        ),
        "unit/worker/test_remote_sources.py": (
            "test_a_header_that_wants_much_memory_is_refused",
            "test_other_names_are_passed_over",
            "test_damage_never_escapes_as_another_error",
        ),
    },
    # Bad files and volumes.
    "full scratch volume": {
        f"{_WORKER}/test_process.py": ("test_a_scratch_volume_that_is_too_small",),
        f"{_WORKER}/test_full_volume.py": ("test_an_upload_with_a_full_scratch_volume",),
    },
    "truncated and corrupt files of every format": {
        f"{_WORKER}/test_damaged_files.py": (
            "test_a_copy_that_broke_off",
            "test_a_checksum_tells_every_damage",
            "test_rot_anywhere_ends_in_a_refusal_or_a_disk",
            "test_a_raw_disk_that_broke_off_is_told_by_its_partitions",
        ),
        f"{_WORKER}/test_prepare.py": ("test_damaged_compression",),
        "unit/worker/test_maps.py": ("test_files_that_broke_off_do_not",),
    },
    "hostile headers": {
        "unit/worker/test_formats.py": ("test_hostile_headers", "test_random_damage_never_escapes_as_another_error"),
        "unit/worker/test_maps.py": ("test_hostile_entries", "test_damage_never_escapes_as_another_error"),
    },
    # A bad service.
    "pages damaged on the way": {
        f"{_WORKER}/test_upload.py": (
            "test_bytes_damaged_on_the_way_are_noticed_by_the_service",
            "test_harm_on_the_way_is_made_good",
        ),
        f"{_WORKER}/test_verify.py": ("test_bytes_damaged_on_the_way_back", "test_answers_that_break_off"),
    },
    "pages lost or damaged by the service": {
        f"{_WORKER}/test_verify.py": (
            "test_lost_pages_are_sent_again",
            "test_damaged_pages_are_sent_again",
            "test_a_service_that_damages_for_ever_is_given_up_and_not_trusted_again",
            "test_a_complete_blob_is_looked_at_again",
        ),
        "unit/worker/test_verify.py": ("test_the_right_disk_or_a_refusal",),
    },
    "a list of pages that lies": {
        f"{_WORKER}/test_verify.py": ("test_a_list_of_pages_that_lies",),
        "unit/worker/test_verify.py": ("test_pages_too_many_are_cleared_and_a_list_that_stays_is_read",),
    },
    "a target that may not be read": {f"{_WORKER}/test_verify.py": ("test_a_target_that_may_not_be_read",)},
    "expired SAS": {
        f"{_WORKER}/test_upload.py": (
            "test_an_expired_sas_is_replaced_in_mid_flight",
            "test_a_sas_that_stays_refused_ends_the_attempt",
        ),
        f"{_WORKER}/test_verify.py": ("test_a_sas_that_expires_while_reading_back",),
        f"{_WORKER}/test_blob_source.py": (
            "test_an_expired_sas_is_replaced_in_mid_flight",
            "test_a_sas_that_stays_refused_is_waited_for_and_then_told",
        ),
        f"{_WORKER}/test_copying.py": (
            "test_an_expired_sas_of_the_source_is_replaced_in_mid_flight",
            "test_an_expired_sas_of_the_source_that_nobody_renews",
            "test_a_refused_sas_of_the_target_is_not_taken_for_the_sources",
        ),
        f"{_RECONCILERS}/test_blob_source.py": ("test_a_sas_is_renewed_before_it_ends_and_made_again_when_lost",),
    },
    # A bad source blob.
    "a blob that changes": {
        f"{_WORKER}/test_blob_source.py": (
            "test_a_blob_that_changes_is_fetched_anew_of_one_version",
            "test_a_blob_that_changes_all_the_time_is_given_up",
            "test_what_is_left_of_another_version_is_not_gone_on_with",
        ),
        f"{_WORKER}/test_copying.py": (
            "test_a_source_that_changed_is_not_copied",
            "test_a_source_that_changes_meanwhile_ends_the_upload",
            "test_other_bytes_under_the_same_etag_are_not_taken",
        ),
        "unit/worker/test_origin_blob.py": ("test_a_blob_that_changes_between_two_parts",),
    },
    "a list of pages that lacks some": {
        f"{_WORKER}/test_blob_source.py": ("test_a_list_that_is_none_is_not_taken_for_zeros",),
        "unit/worker/test_origin_blob.py": (
            "test_all_that_was_written_is_in_the_list",
            "test_a_list_that_cannot_be_read_is_none",
        ),
    },
    "Azure does not copy": {
        f"{_WORKER}/test_copying.py": (
            "test_what_is_not_copied_is_sent",
            "test_what_was_copied_before_a_refusal_stays",
            "test_what_was_copied_is_not_copied_again",
            "test_killed_pods_copy_next_to_nothing_twice",
        )
    },
    "a blob that is missing, archived, a folder or closed": {
        f"{_RECONCILERS}/test_blob_source.py": (
            "test_a_blob_that_is_not_there_is_waited_for",
            "test_an_archived_blob_is_waited_for",
            "test_a_folder_is_no_disk",
            "test_without_the_right_the_roles_are_named",
        ),
        f"{_WORKER}/test_blob_source.py": ("test_refusals_are_told",),
    },
    # Bad luck.
    "killed pods at 20 random moments": {
        f"{_WORKER}/test_killed.py": ("test_an_import_killed_at_twenty_random_moments",),
        f"{_WORKER}/test_process.py": (
            "test_killed_at_any_moment_the_same_disk_comes_out",
            "test_an_upload_killed_at_half_is_finished_by_the_next_pod",
        ),
        f"{_WORKER}/test_verify.py": ("test_killed_while_it_verifies",),
        "e2e/test_resume.py": ("test_killed_upload_goes_on",),
    },
    "node restart": {f"{_RECONCILERS}/test_lost_pods.py": ("test_a_node_restarts_during_both_steps",)},
    "nothing left behind": {
        f"{_RECONCILERS}/test_imports.py": ("test_deletion_in_every_phase_leaves_nothing",),
        "e2e/test_deletion.py": ("test_deletion_while_at_work",),
    },
}


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text())
    functions = (each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(each.name for each in functions)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_tests(fault: str) -> None:
    shown = FAULTS[fault]
    assert shown
    missing = [f"{path}::{name}" for path, names in shown.items() for name in names if name not in names_in(path)]
    assert not missing


def test_they_are_counted() -> None:
    """A fault that is taken from the list is taken from the promise."""
    assert len(FAULTS) == 29
    assert sum(len(names) for shown in FAULTS.values() for names in shown.values()) >= 72
