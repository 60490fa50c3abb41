"""How the tests of one run are spread over its processes (pytest-xdist): by file, except where tests share more or less than that.

The files of one group run one after another in one process; a file whose tests share nothing is spread test by test.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from xdist.scheduler import LoadScopeScheduling

PLUGIN = "the vendor's plugin"
"""Its lock, /tmp/mvnc.mutex, is the machine's: two tests that boot sticks by it would wait for each other's time-outs."""
BROWSER = "the browser"
GROUPS = {
    "tests/backends/test_myriad.py": PLUGIN,
    "tests/cli/test_graphs.py::test_a_graph_is_compiled_by_the_runtime": PLUGIN,
    "tests/cli/test_usb_guided.py::test_the_vendors_plugin_and_ours": PLUGIN,
    "tests/oracle/": PLUGIN,
    "tests/provision/test_compile.py": PLUGIN,
    "tests/system/test_graph_kinds.py": PLUGIN,
    "tests/system/test_vendor_plugin.py": PLUGIN,
    "tests/browser/": BROWSER,
}
"""Beginnings of test ids, and the group that runs in one process."""
ONE_BY_ONE = (
    "tests/cli/test_usb.py",
    "tests/cli/test_usb_guided.py",
    "tests/hosts/test_fleet.py",
    "tests/core/test_dispatch_worlds.py",
    "tests/core/test_heat.py",
    "tests/core/test_unlucky_orders.py",
    "tests/faults/test_kill_supervisor.py",
    "tests/faults/test_rogue_workers.py",
    "tests/faults/test_stick_faults.py",
    "tests/api/test_docs.py",
    "tests/api/test_kills.py",
    "tests/api/test_processes.py",
    "tests/processes/gateway/test_gateway_limits.py",
    "tests/sinks/test_jobs.py",
    "tests/system/test_reload.py",
    "tests/system/test_running.py",
)
"""Files whose tests share no daemon and no bus."""
LONGEST = (
    "tests/system/test_run.py",
    "tests/system/test_emulated_sticks.py",
    PLUGIN,
    BROWSER,
    "tests/api/test_cluster.py",
    "tests/system/test_attached.py",
    "tests/system/test_run_video.py",
    "tests/system/test_answers.py",
    "tests/backends/xlink_sticks/test_xlink.py",
    "tests/api/test_stream.py",
    "tests/cli/test_graphs.py",
    "tests/backends/usb_stick/test_boot.py",
    "tests/system/test_run_sticks.py",
    "tests/api/test_async.py",
    "tests/test_config_meaning.py",
    "tests/processes/gateway/test_gateway_process.py",
    "tests/faults/test_kill_children.py",
    "tests/core/test_shadow.py",
    "tests/conformance/test_own_plugins.py",
    "tests/emulator/test_hosts.py",
    "tests/backends/usb_stick/test_hub_power.py",
    "tests/sources/test_rtsp.py",
    "tests/system/test_control_socket.py",
    "tests/cli/test_closed_doors.py",
    "tests/test_conftest.py",
    "tests/system/test_fallback.py",
    "tests/cli/calibrate/test_calibrate.py",
    "tests/cli/bench/test_bench.py",
    "tests/cli/test_merge.py",
    "tests/cli/test_simulate.py",
)
"""Scopes that take 20 s or more, the longest first: each would run alone at the end if it began last."""
ONCE = (
    "tests/aarch64/",
    "tests/api/test_docs.py",
    "tests/api/test_kills.py",
    "tests/browser/",
    "tests/cli/bench/",
    "tests/cli/calibrate/",
    "tests/cli/doctor/test_judgements.py",
    "tests/cli/doctor/test_machines.py",
    "tests/cli/doctor/test_service.py",
    "tests/cli/run/",
    "tests/cli/test_closed_doors.py",
    "tests/cli/test_completion.py",
    "tests/cli/test_fleet.py",
    "tests/cli/test_graphs.py",
    "tests/cli/test_merge.py",
    "tests/cli/test_simulate.py",
    "tests/cli/test_usb.py",
    "tests/cli/test_usb_aarch64.py",
    "tests/cli/test_usb_guided.py",
    "tests/core/test_any_job.py",
    "tests/core/test_any_order.py",
    "tests/core/test_change_point.py",
    "tests/core/test_dispatch_weights.py",
    "tests/core/test_dispatch_worlds.py",
    "tests/core/test_fallback.py",
    "tests/core/test_fallback_scenes.py",
    "tests/core/test_fallback_worlds.py",
    "tests/core/test_guests.py",
    "tests/core/test_heat.py",
    "tests/core/test_intake.py",
    "tests/core/test_load.py",
    "tests/core/test_long_troubles.py",
    "tests/core/test_misfortunes.py",
    "tests/core/test_overflow.py",
    "tests/core/test_reconfigured_worlds.py",
    "tests/core/test_shadow.py",
    "tests/core/test_slowdowns.py",
    "tests/core/test_rollout.py",
    "tests/core/test_unlucky_orders.py",
    "tests/core/test_usb_identity_histories.py",
    "tests/decoders/",
    "tests/deploy/test_debian.py",
    "tests/deploy/test_deploy.py",
    "tests/deploy/test_fan_drop_in.py",
    "tests/deploy/test_monitoring.py",
    "tests/deploy/test_systemd.py",
    "tests/emulator/test_hosts.py",
    "tests/emulator/test_stick.py",
    "tests/emulator/test_usb_fuzz.py",
    "tests/emulator/test_usb_rogue.py",
    "tests/faults/test_rogue_workers.py",
    "tests/faults/test_stick_faults.py",
    "tests/fleet/",
    "tests/graphs/",
    "tests/history/",
    "tests/hosts/",
    "tests/oracle/",
    "tests/package/",
    "tests/policies/",
    "tests/processes/gateway/test_gateway_proxy.py",
    "tests/provision/test_compile.py",
    "tests/provision/test_downgrade.py",
    "tests/provision/test_yolox.py",
    "tests/sinks/test_carried.py",
    "tests/sinks/test_chunks.py",
    "tests/sinks/test_divided_films.py",
    "tests/sinks/test_fleet.py",
    "tests/sinks/test_guest_graphs.py",
    "tests/sinks/test_join.py",
    "tests/sinks/test_mqtt_histories.py",
    "tests/sinks/test_parts.py",
    "tests/sinks/test_video.py",
    "tests/sinks/test_video_faults.py",
    "tests/soak/",
    "tests/sources/test_part_film.py",
    "tests/sources/test_synthetic.py",
    "tests/system/test_answers.py",
    "tests/system/test_attached.py",
    "tests/system/test_emulated_sticks.py",
    "tests/system/test_fallback.py",
    "tests/system/test_film_over_hosts.py",
    "tests/system/test_fleet.py",
    "tests/system/test_graph_kinds.py",
    "tests/system/test_merge.py",
    "tests/system/test_mixed_pools.py",
    "tests/system/test_mqtt.py",
    "tests/system/test_overflow.py",
    "tests/system/test_reload.py",
    "tests/system/test_run.py",
    "tests/system/test_run_full_disk.py",
    "tests/system/test_run_over_hosts.py",
    "tests/system/test_run_sent.py",
    "tests/system/test_run_sticks.py",
    "tests/system/test_run_video.py",
    "tests/system/test_systemd.py",
    "tests/system/test_vendor_plugin.py",
    "tests/test_conftest.py",
    "tests/thermal_lab/",
    "tests/xlink/",
)
"""Tests whose answer does not depend on the interpreter: other programs, or arithmetic on the same examples."""
THOROUGH = (
    "tests/aarch64/test_imports.py::test_the_tests_of_the_protocol_hold",
    "tests/api/test_cluster.py::test_a_wrong_argument_is_refused_with_the_line_of_the_daemon[given1]",
    "tests/api/test_cluster.py::test_a_wrong_argument_is_refused_with_the_line_of_the_daemon[given2]",
    "tests/api/test_cluster.py::test_a_wrong_argument_is_refused_with_the_line_of_the_daemon[given4]",
    "tests/api/test_cluster.py::test_a_wrong_argument_is_refused_with_the_line_of_the_daemon[given5]",
    "tests/api/test_kills.py::test_a_killed_process_changes_no_result[camera feed]",
    "tests/api/test_kills.py::test_a_killed_process_changes_no_result[sink]",
    "tests/api/test_processes.py::test_a_killed_program_leaves_nothing[sys.stdin.read()]",
    "tests/api/test_processes.py::test_a_process_makes_a_cluster_of_its_own_beside_its_parents[forkserver]",
    "tests/api/test_processes.py::test_a_process_makes_a_cluster_of_its_own_beside_its_parents[spawn]",
    "tests/api/test_processes.py::test_a_program_that_ends_without_close_leaves_nothing[del cluster-0]",
    "tests/api/test_processes.py::test_a_program_that_ends_without_close_leaves_nothing[raise RuntimeError('a bug')-1]",
    "tests/api/test_processes.py::test_a_program_that_ends_without_close_leaves_nothing[results =",
    "tests/api/test_processes.py::test_a_program_that_ends_without_close_leaves_nothing[sys.exit(3)-3]",
    "tests/browser/test_layout.py::test_nothing_is_cut_off_and_no_place_is_empty[1-400]",
    "tests/browser/test_layout.py::test_nothing_is_cut_off_and_no_place_is_empty[2-1024]",
    "tests/browser/test_layout.py::test_nothing_is_cut_off_and_no_place_is_empty[3-1280]",
    "tests/browser/test_layout.py::test_nothing_is_cut_off_and_no_place_is_empty[9-1920]",
    "tests/browser/test_original.py",
    "tests/browser/test_page.py::test_it_never_scrolls_sideways[768-",
    "tests/cli/calibrate/test_calibrate.py::test_an_emulated_stick_warms_up",
    "tests/cli/test_simulate.py::test_the_picture_shows_every_line_at_its_height[policies0]",
    "tests/cli/test_usb_guided.py::test_the_vendors_plugin_and_ours",
    "tests/core/test_any_order.py",
    "tests/core/test_dispatch_shares.py::test_with_less_work_than_the_sticks_could_do",
    "tests/core/test_heat.py::test_a_heat_wave_comes_and_goes_and_all_is_as_before[all-",
    "tests/core/test_heat.py::test_in_an_oven",
    "tests/core/test_long_troubles.py",
    "tests/core/test_reconfigured_worlds.py",
    "tests/core/test_shadow.py::test_what_it_says_would_be_sustained",
    "tests/faults/test_rogue_workers.py",
    "tests/faults/test_stick_faults.py::test_a_job_survives_a_stick_that_fails[segfault",
    "tests/faults/test_unkillable_worker.py",
    "tests/hosts/test_drained.py",
    "tests/hosts/test_fleet.py::test_a_host_whose_link_is_cut_for_20_s",
    "tests/oracle/test_daemon.py",
    "tests/oracle/test_strange_sticks.py",
    "tests/oracle/test_transcripts.py",
    "tests/policies/test_predictive.py::test_unknown_sticks_stay_under_the_limit",
    "tests/provision/test_yolox.py",
    "tests/runtimes/test_stick_anywhere.py::test_64_bit_arm",
    "tests/sinks/test_jobs.py::test_a_job_whose_writer_is_killed_again_and_again_has_the_results_of_one_that_is_not[2-",
    "tests/soak/",
    "tests/sources/test_part_film.py::test_parts_of_a_real_film_are_the_film[one-by-one-person-detection.mp4]",
    "tests/system/test_bench_sticks.py::test_one_stick_and_both",
    "tests/system/test_film_over_hosts.py",
    "tests/system/test_merge.py::test_parts_made_of_copies",
    "tests/system/test_reload.py::test_reloads_under_load_lose_no_frame_of_an_ordered_camera_and_restart_no_stick[many]",
    "tests/system/test_run.py::test_after_kills_of_the_whole_job_the_same_command_gives_the_same_file[1]",
    "tests/system/test_run_video.py::test_after_kills_of_the_whole_job_every_frame_is_in_the_video_once[1]",
    "tests/test_config_meaning.py::test_other_odd_values",
    "tests/thermal_lab/test_original.py",
)
"""Tests that search longer for what others search for too, or repeat on another machine, program or size what holds on this one.
`make test-thorough` and .ci/run run them, `make test` does not."""
MOST_PROCESSES = 16
EACH = 768 << 20
"""Bytes of memory for a process of the run and what its test starts."""


def processes(waiting: bool) -> int:
    """One for each core, for tests that compute; two for tests that mostly wait for processes of their own; fewer where memory is
    short."""
    if given := os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return int(given)
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(2, min(MOST_PROCESSES, 2 * cores if waiting else cores, memory // EACH))


def scope(nodeid: str) -> str:
    """Tests of one scope run in one process, one after another."""
    for beginning, group in GROUPS.items():
        if nodeid.startswith(beginning):
            return group
    file = nodeid.partition("::")[0]
    return nodeid if file.startswith(ONE_BY_ONE) else file


def turn(nodeid: str, slow: Collection[str]) -> int:
    """What starts first has the lowest number; `slow`: scopes that hold slow tests."""
    its = scope(nodeid)
    return LONGEST.index(its) if its in LONGEST else len(LONGEST) + (its not in slow)


class Schedule(LoadScopeScheduling):
    """Hands out work in the order of collection, which puts slow tests first (see conftest)."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
