// Limits on ICMP errors: the token buckets per destination of inetpeer.c (one bucket shared by ICMP, route errors and
// redirects, as in Linux), and the global one of icmp_msgs_per_sec.
//
// Linux takes a random 0 to 2 credits of the global bucket per message; here it is one, its mean.

import { PS_PER_MS, PS_PER_S } from '../../../hw/time/units.ts';

/** Errors that may follow at once after a pause (XRLIM_BURST_FACTOR). */
const BURST_FACTOR = 6;
/** net.ipv4.route.error_cost and error_burst, ms. */
const ERROR_COST_MS = 1000;
const ERROR_BURST_MS = 5000;
/** net.ipv4.route.redirect_*: how many, how fast, silence after which counting starts again. */
const REDIRECT_NUMBER = 9;
const REDIRECT_LOAD_MS = 20;
const REDIRECT_SILENCE_MS = 20 << (REDIRECT_NUMBER + 1);
const PEERS_MAX = 65536;

interface Peer {
  tokensMs: number;
  lastMs: number;
  redirects: number;
}

export class IcmpLimit {
  /** net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst. */
  messagesPerSecond = 1000;
  messagesBurst = 50;

  private readonly peers = new Map<number | string, Peer>();
  private credit = 0;
  private stampPs = -PS_PER_S;

  /** Whether one more message may be sent to `peer` when each costs `costMs` (0: no limit). */
  allow(peer: number | string, costMs: number, nowPs: number): boolean {
    if (costMs <= 0) return true;
    return this.take(peer, costMs, costMs * BURST_FACTOR, nowPs);
  }

  /** Same for the errors of packets without a route. */
  allowRouteError(peer: number | string, nowPs: number): boolean {
    return this.take(peer, ERROR_COST_MS, ERROR_BURST_MS, nowPs);
  }

  /** ip_rt_send_redirect: nine, each later than the one before by twice the time, then silence. */
  allowRedirect(peer: number | string, nowPs: number): boolean {
    const p = this.peer(peer, nowPs);
    const nowMs = nowPs / PS_PER_MS;
    if (nowMs > p.lastMs + REDIRECT_SILENCE_MS) {
      p.tokensMs = 0;
      p.redirects = 0;
    }
    if (p.redirects >= REDIRECT_NUMBER) {
      p.lastMs = nowMs;
      return false;
    }
    const due = p.tokensMs === 0 || nowMs > p.lastMs + REDIRECT_LOAD_MS * 2 ** p.redirects;
    if (!due) return false;
    p.lastMs = nowMs;
    p.redirects++;
    return true;
  }

  /** icmp_global_allow. */
  allowGlobal(nowPs: number): boolean {
    const deltaPs = Math.min(nowPs - this.stampPs, PS_PER_S);
    if (deltaPs >= PS_PER_S / 50) {
      const more = Math.floor((this.messagesPerSecond * deltaPs) / PS_PER_S);
      if (more > 0) this.stampPs = nowPs;
      this.credit = Math.min(this.credit + more, this.messagesBurst);
    }
    if (this.credit <= 0) return false;
    this.credit--;
    return true;
  }

  private take(peer: number | string, costMs: number, burstMs: number, nowPs: number): boolean {
    const p = this.peer(peer, nowPs);
    const nowMs = nowPs / PS_PER_MS;
    p.tokensMs = Math.min(p.tokensMs + nowMs - p.lastMs, burstMs);
    p.lastMs = nowMs;
    if (p.tokensMs < costMs) return false;
    p.tokensMs -= costMs;
    return true;
  }

  private peer(key: number | string, nowPs: number): Peer {
    const known = this.peers.get(key);
    if (known !== undefined) return known;
    if (this.peers.size >= PEERS_MAX)
      for (const oldest of this.peers.keys()) {
        this.peers.delete(oldest);
        break;
      }
    const peer = { tokensMs: 0, lastMs: nowPs / PS_PER_MS - 60_000, redirects: 0 };
    this.peers.set(key, peer);
    return peer;
  }
}
