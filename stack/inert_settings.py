"""Settings of Linux that mean nothing to this stack: their names, and what is read until something else is written.

Either there is nothing here that they could change (hash tables, reordering of work inside a kernel, features that are
not there), or what they tune happens here in another way.
"""

from __future__ import annotations

from typing import Final

#: By name, under ``net.ipv4.``: Linux's default.
INERT: Final[dict[str, str]] = {
    "icmp_echo_enable_probe": "0",
    "icmp_errors_use_inbound_ifaddr": "0",
    "icmp_ignore_bogus_error_responses": "1",
    "icmp_msgs_burst": "50",
    "icmp_msgs_per_sec": "1000",
    "icmp_ratelimit": "1000",
    "icmp_ratemask": "6168",
    "igmp_link_local_mcast_reports": "1",
    "igmp_max_memberships": "20",
    "igmp_max_msf": "10",
    "igmp_qrv": "2",
    "ip_autobind_reuse": "0",
    "ip_dynaddr": "0",
    "ip_early_demux": "1",
    "ip_forward_update_priority": "1",
    "ip_forward_use_pmtu": "0",
    "ip_local_reserved_ports": "",
    "ip_unprivileged_port_start": "1024",
    "ipfrag_low_thresh": "3145728",
    "ipfrag_max_dist": "64",
    "ping_group_range": "1 0",
    "tcp_app_win": "31",
    "tcp_available_ulp": "",
    "tcp_backlog_ack_defer": "1",
    "tcp_child_ehash_entries": "0",
    "tcp_ecn_option": "2",
    "tcp_ecn_option_beacon": "3",
    "tcp_ehash_entries": "262144",
    "tcp_fwmark_accept": "0",
    "tcp_l3mdev_accept": "0",
    "tcp_migrate_req": "0",
    "tcp_no_ssthresh_metrics_save": "1",
    "tcp_plb_cong_thresh": "128",
    "tcp_plb_enabled": "0",
    "tcp_plb_idle_rehash_rounds": "3",
    "tcp_plb_rehash_rounds": "12",
    "tcp_plb_suspend_rto_sec": "60",
    "udp_child_hash_entries": "0",
    "udp_early_demux": "1",
    "udp_hash_entries": "16384",
    "udp_l3mdev_accept": "0",
    "udp_rmem_min": "4096",
    "udp_wmem_min": "4096",
}
