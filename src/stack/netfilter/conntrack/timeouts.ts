// Timeouts and switches of conntrack (spec C.3): sysctls below net.netfilter, kept as picoseconds beside the trackers.
// Values are seconds in sysctl. Left out: per-rule timeout policies (nfct_timeout), DCCP's (generic).

import { PS_PER_S } from '../../../../hw/time/units.ts';
import type { Sysctl } from '../../sysctl.ts';

/** Idle time of a flow of the flowtable whose protocol has no sysctl, s. */
export const FLOW_TIMEOUT_S = 30;

const TCP_SYSCTLS: readonly (readonly [name: string, state: number, seconds: number])[] = [
  ['syn_sent', 1, 120],
  ['syn_recv', 2, 60],
  ['established', 3, 432000],
  ['fin_wait', 4, 120],
  ['close_wait', 5, 60],
  ['last_ack', 6, 30],
  ['time_wait', 7, 120],
  ['close', 8, 10],
];

/** SCTP, in s. */
const SCTP_SYSCTLS: readonly (readonly [name: string, state: number, seconds: number])[] = [
  ['closed', 1, 10],
  ['cookie_wait', 2, 3],
  ['cookie_echoed', 3, 3],
  ['established', 4, 210],
  ['shutdown_sent', 5, 3],
  ['shutdown_recd', 6, 3],
  ['shutdown_ack_sent', 7, 3],
  ['heartbeat_sent', 8, 30],
];

export class Timeouts {
  /** By TCP state (tcp-table.ts). SYN_SENT2 has no sysctl of its own. */
  readonly tcpPs = new Float64Array(10);
  /** By SCTP state (sctp.ts). */
  readonly sctpPs = new Float64Array(9);
  tcpRetransPs = 300 * PS_PER_S;
  tcpUnackPs = 300 * PS_PER_S;
  tcpMaxRetrans = 3;
  tcpLoose = true;
  tcpBeLiberal = false;
  tcpIgnoreInvalidRst = false;
  udpPs = 30 * PS_PER_S;
  udpStreamPs = 120 * PS_PER_S;
  icmpPs = 30 * PS_PER_S;
  icmpv6Ps = 30 * PS_PER_S;
  genericPs = 600 * PS_PER_S;
  grePs = 30 * PS_PER_S;
  greStreamPs = 180 * PS_PER_S;
  flowTcpPs = FLOW_TIMEOUT_S * PS_PER_S;
  flowUdpPs = FLOW_TIMEOUT_S * PS_PER_S;
  /** nf_conntrack_checksum. */
  checksum = true;
  /** nf_conntrack_acct. */
  acct = false;
  /** nf_conntrack_timestamp. */
  timestamp = false;
  /** nf_conntrack_expect_max. */
  expectMax = 4096;
  /** nf_conntrack_max. */
  max = 262144;

  constructor(sysctl: Sysctl) {
    const ct = (
      name: string,
      initial: number,
      use: (value: number) => void,
      max?: number,
    ): void => {
      const path = `net/netfilter/${name}`;
      sysctl.register(path, initial, use, 0, max);
      use(sysctl.get(path));
    };
    const seconds = (name: string, initial: number, use: (ps: number) => void): void =>
      ct(name, initial, (value) => use(value * PS_PER_S));
    for (const [name, state, initial] of TCP_SYSCTLS)
      seconds(`nf_conntrack_tcp_timeout_${name}`, initial, (ps) => (this.tcpPs[state] = ps));
    this.tcpPs[9] = 120 * PS_PER_S;
    seconds('nf_conntrack_tcp_timeout_max_retrans', 300, (ps) => (this.tcpRetransPs = ps));
    seconds('nf_conntrack_tcp_timeout_unacknowledged', 300, (ps) => (this.tcpUnackPs = ps));
    ct('nf_conntrack_tcp_max_retrans', 3, (v) => (this.tcpMaxRetrans = v), 255);
    ct('nf_conntrack_tcp_loose', 1, (v) => (this.tcpLoose = v !== 0), 1);
    ct('nf_conntrack_tcp_be_liberal', 0, (v) => (this.tcpBeLiberal = v !== 0), 1);
    ct('nf_conntrack_tcp_ignore_invalid_rst', 0, (v) => (this.tcpIgnoreInvalidRst = v !== 0), 1);
    seconds('nf_conntrack_udp_timeout', 30, (ps) => (this.udpPs = ps));
    seconds('nf_conntrack_udp_timeout_stream', 120, (ps) => (this.udpStreamPs = ps));
    seconds('nf_conntrack_icmp_timeout', 30, (ps) => (this.icmpPs = ps));
    seconds('nf_conntrack_icmpv6_timeout', 30, (ps) => (this.icmpv6Ps = ps));
    seconds('nf_conntrack_generic_timeout', 600, (ps) => (this.genericPs = ps));
    seconds('nf_conntrack_gre_timeout', 30, (ps) => (this.grePs = ps));
    seconds('nf_conntrack_gre_timeout_stream', 180, (ps) => (this.greStreamPs = ps));
    for (const [name, state, initial] of SCTP_SYSCTLS)
      seconds(`nf_conntrack_sctp_timeout_${name}`, initial, (ps) => (this.sctpPs[state] = ps));
    seconds('nf_flowtable_tcp_timeout', FLOW_TIMEOUT_S, (ps) => (this.flowTcpPs = ps));
    seconds('nf_flowtable_udp_timeout', FLOW_TIMEOUT_S, (ps) => (this.flowUdpPs = ps));
    ct('nf_conntrack_checksum', 1, (v) => (this.checksum = v !== 0), 1);
    ct('nf_conntrack_acct', 0, (v) => (this.acct = v !== 0), 1);
    ct('nf_conntrack_timestamp', 0, (v) => (this.timestamp = v !== 0), 1);
    ct('nf_conntrack_expect_max', 4096, (v) => (this.expectMax = v));
    ct('nf_conntrack_max', 262144, (v) => (this.max = v));
  }
}
