// The TCP tracker: what one segment does to a connection (spec C.4; Linux 6.1's nf_conntrack_proto_tcp as observed).
//
// `tcpNew` decides whether a segment may open an entry, `tcpPacket` moves an entry on. Both work on the row's columns.
// Left out: SYN proxy, the per-entry policy knobs of ctnetlink, log lines for invalid packets.

import {
  C_LAST_ACK,
  C_LAST_DIR,
  C_LAST_END,
  C_LAST_FLAGS,
  C_LAST_INDEX,
  C_LAST_SEQ,
  C_LAST_WIN,
  C_LAST_WSCALE,
  C_RETRANS,
  C_SEEN,
  C_STATUS,
  C_TCP_STATE,
  IPS_ASSURED,
  IPS_SEEN_REPLY,
  SEEN_WORDS,
} from './table.ts';
import {
  SEGMENT_ACK,
  SEGMENT_NONE,
  SEGMENT_RST,
  SEGMENT_SYN,
  SEGMENT_SYNACK,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_IGNORE,
  TCP_INVALID,
  TCP_LAST_ACK,
  TCP_NONE,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_SYN_SENT2,
  TCP_TIME_WAIT,
  TH_RST,
  tcpOutcome,
} from './tcp-table.ts';
import {
  FLAG_BE_LIBERAL,
  FLAG_CLOSE_INIT,
  FLAG_MAXACK_SET,
  FLAG_SACK_PERM,
  FLAG_UNACKNOWLEDGED,
  S_END,
  S_FLAGS,
  S_MAXACK,
  S_MAXEND,
  S_MAXWIN,
  before,
  inWindow,
  readSynOptions,
} from './tcp-window.ts';
import type { Segment } from './tcp-window.ts';
import type { Timeouts } from './timeouts.ts';

/** What a tracker says of a packet. */
export const TRACK_ACCEPT = 0;
/** The packet is INVALID; the entry stays as it is. */
export const TRACK_INVALID = 1;
/** The entry is stale: kill it and start over with a look-up. */
export const TRACK_REPEAT = 2;
/** Accepted, but neither timeout nor counters move. */
export const TRACK_ACCEPT_QUIET = 3;
/** Accepted, and the entry is to be killed. */
export const TRACK_ACCEPT_KILL = 4;

/** Flags of C_LAST_FLAGS beside those of a direction. */
const LAST_CHALLENGE_ACK = 0x40;
const LAST_SIMULTANEOUS_OPEN = 0x80;

/** Timeout that the last accepted packet asked for, ps: an out-parameter of `tcpPacket`. */
export interface TcpResult {
  timeoutPs: number;
}

/** Whether the segment may open an entry; sets the row up. */
export function tcpNew(words: Int32Array, row: number, segment: Segment, loose: boolean): boolean {
  const state = tcpOutcome(TCP_NONE, 0, segment.kind);
  if (state === TCP_INVALID) return false;
  const orig = row + C_SEEN;
  const win = segment.win === 0 ? 1 : segment.win;
  if (state === TCP_SYN_SENT) {
    words[orig + S_END] = words[orig + S_MAXEND] = segment.end;
    words[orig + S_MAXWIN] = win;
    words[orig + S_FLAGS] = readSynOptions(segment);
  } else {
    if (!loose) return false;
    words[orig + S_END] = segment.end;
    words[orig + S_MAXWIN] = win;
    words[orig + S_MAXEND] = (segment.end + win) | 0;
    words[orig + S_FLAGS] = FLAG_SACK_PERM | FLAG_BE_LIBERAL;
    words[orig + SEEN_WORDS + S_FLAGS] = FLAG_SACK_PERM | FLAG_BE_LIBERAL;
  }
  words[row + C_TCP_STATE] = TCP_NONE;
  words[row + C_LAST_INDEX] = SEGMENT_NONE;
  return true;
}

/** nf_ct_set_tcp_be_liberal: neither side's segments are checked against the window any more; for an established connection only. */
export function relaxEstablished(words: Int32Array, row: number): void {
  if (words[row + C_TCP_STATE] !== TCP_ESTABLISHED) return;
  words[row + C_SEEN + S_FLAGS] |= FLAG_BE_LIBERAL;
  words[row + C_SEEN + SEEN_WORDS + S_FLAGS] |= FLAG_BE_LIBERAL;
}

/** Moves the entry on; TRACK_*. `result.timeoutPs` is set when the answer is TRACK_ACCEPT. */
export function tcpPacket(
  words: Int32Array,
  row: number,
  direction: number,
  segment: Segment,
  timeouts: Timeouts,
  result: TcpResult,
): number {
  let oldState = words[row + C_TCP_STATE];
  let newState = tcpOutcome(oldState, direction, segment.kind);
  if (newState === TCP_INVALID) return TRACK_INVALID;
  if (newState === TCP_SYN_SENT && oldState >= TCP_TIME_WAIT && oldState !== TCP_SYN_SENT2) {
    if (mayReopen(words, row, direction)) return TRACK_REPEAT;
    newState = TCP_IGNORE;
  }
  let checkWindow = true;
  if (newState === TCP_IGNORE) {
    if (!resynchronises(words, row, direction, segment)) {
      remember(words, row, direction, segment, oldState);
      return TRACK_ACCEPT_QUIET;
    }
    oldState = TCP_SYN_SENT;
    newState = TCP_SYN_RECV;
  } else if (
    newState === TCP_TIME_WAIT &&
    isChallengeAck(words, row, direction, segment, oldState)
  ) {
    words[row + C_LAST_FLAGS] &= ~LAST_CHALLENGE_ACK;
    return TRACK_ACCEPT_QUIET;
  } else if (newState === TCP_SYN_SENT2) words[row + C_LAST_FLAGS] |= LAST_SIMULTANEOUS_OPEN;
  else if (newState === TCP_SYN_RECV) {
    const simultaneous = (words[row + C_LAST_FLAGS] & LAST_SIMULTANEOUS_OPEN) !== 0;
    if (direction === 1 && segment.kind === SEGMENT_ACK && simultaneous) newState = TCP_ESTABLISHED;
  } else if (newState === TCP_CLOSE && segment.kind === SEGMENT_RST) {
    const verdict = checkReset(words, row, direction, segment, oldState, timeouts);
    if (verdict === RESET_INVALID) return TRACK_INVALID;
    if (verdict === RESET_KEEP_STATE) newState = oldState;
    if (verdict === RESET_NO_WINDOW) checkWindow = false;
  }
  if (checkWindow && !inWindow(words, row, direction, segment, timeouts.tcpBeLiberal))
    return TRACK_INVALID;
  return enter(words, row, direction, segment, oldState, newState, timeouts, result);
}

/** A segment that passed: records it, enters the state, chooses the timeout. */
function enter(
  words: Int32Array,
  row: number,
  direction: number,
  segment: Segment,
  oldState: number,
  newState: number,
  timeouts: Timeouts,
  result: TcpResult,
): number {
  words[row + C_LAST_INDEX] = segment.kind;
  words[row + C_LAST_DIR] = direction;
  words[row + C_TCP_STATE] = newState;
  const seen = row + C_SEEN;
  if (oldState !== newState && newState === TCP_FIN_WAIT)
    words[seen + direction * SEEN_WORDS + S_FLAGS] |= FLAG_CLOSE_INIT;
  let timeoutPs = timeouts.tcpPs[newState];
  if (words[row + C_RETRANS] >= timeouts.tcpMaxRetrans && timeoutPs > timeouts.tcpRetransPs)
    timeoutPs = timeouts.tcpRetransPs;
  else if (segment.kind === SEGMENT_RST) timeoutPs = timeouts.tcpPs[TCP_CLOSE];
  else {
    const flags = words[seen + S_FLAGS] | words[seen + SEEN_WORDS + S_FLAGS];
    if ((flags & FLAG_UNACKNOWLEDGED) !== 0 && timeoutPs > timeouts.tcpUnackPs)
      timeoutPs = timeouts.tcpUnackPs;
    else if (words[row + C_LAST_WIN] === 0 && timeoutPs > timeouts.tcpRetransPs)
      timeoutPs = timeouts.tcpRetransPs;
  }
  const status = words[row + C_STATUS];
  if ((status & IPS_SEEN_REPLY) === 0) {
    if ((segment.flags & TH_RST) !== 0) return TRACK_ACCEPT_KILL;
    // A retransmitted SYN does not extend the life of an entry that nobody answered.
    if (segment.kind === SEGMENT_SYN && oldState === TCP_SYN_SENT) return TRACK_ACCEPT_QUIET;
    if (newState === TCP_ESTABLISHED && timeoutPs > timeouts.tcpUnackPs)
      timeoutPs = timeouts.tcpUnackPs;
  } else if (
    (status & IPS_ASSURED) === 0 &&
    (oldState === TCP_SYN_RECV || oldState === TCP_ESTABLISHED) &&
    newState === TCP_ESTABLISHED
  )
    words[row + C_STATUS] = status | IPS_ASSURED;
  result.timeoutPs = timeoutPs;
  return TRACK_ACCEPT;
}

/** A SYN in TIME_WAIT or CLOSE opens a new connection when the old one was closed, or aborted from this side. */
function mayReopen(words: Int32Array, row: number, direction: number): boolean {
  const seen = row + C_SEEN;
  const flags = words[seen + S_FLAGS] | words[seen + SEEN_WORDS + S_FLAGS];
  if ((flags & FLAG_CLOSE_INIT) !== 0) return true;
  return words[row + C_LAST_DIR] === direction && words[row + C_LAST_INDEX] === SEGMENT_RST;
}

/** A SYNACK that answers a SYN we ignored: both ends agree, so the remembered values become the truth. */
function resynchronises(
  words: Int32Array,
  row: number,
  direction: number,
  segment: Segment,
): boolean {
  if (
    segment.kind !== SEGMENT_SYNACK ||
    words[row + C_LAST_INDEX] !== SEGMENT_SYN ||
    words[row + C_LAST_DIR] === direction ||
    segment.ack !== words[row + C_LAST_END]
  )
    return false;
  const other = row + C_SEEN + words[row + C_LAST_DIR] * SEEN_WORDS;
  const own = row + C_SEEN + direction * SEEN_WORDS;
  words[other + S_END] = words[other + S_MAXEND] = words[row + C_LAST_END];
  words[other + S_MAXWIN] = words[row + C_LAST_WIN] === 0 ? 1 : words[row + C_LAST_WIN];
  words[row + C_LAST_FLAGS] &= ~LAST_CHALLENGE_ACK;
  words[other + S_FLAGS] = (words[row + C_LAST_FLAGS] & 0x3f) | (words[row + C_LAST_WSCALE] << 8);
  words.fill(0, own, own + SEEN_WORDS);
  return true;
}

/** Notes an ignored segment. */
function remember(
  words: Int32Array,
  row: number,
  direction: number,
  segment: Segment,
  oldState: number,
): void {
  words[row + C_LAST_INDEX] = segment.kind;
  words[row + C_LAST_DIR] = direction;
  words[row + C_LAST_SEQ] = segment.seq;
  words[row + C_LAST_END] = segment.end;
  words[row + C_LAST_WIN] = segment.win;
  if (segment.kind === SEGMENT_SYN && direction === 0) {
    const options = readSynOptions(segment);
    words[row + C_LAST_FLAGS] = options & 0xff;
    words[row + C_LAST_WSCALE] = options >> 8;
    if (oldState === TCP_LAST_ACK) words[row + C_LAST_FLAGS] |= LAST_CHALLENGE_ACK;
  }
  if (oldState === TCP_SYN_SENT && segment.kind === SEGMENT_ACK && direction === 1)
    words[row + C_LAST_ACK] = segment.ack;
}

/** RFC 5961: an ACK provoked by a SYN must not pass for the acknowledgement of the last FIN. */
function isChallengeAck(
  words: Int32Array,
  row: number,
  direction: number,
  segment: Segment,
  oldState: number,
): boolean {
  return (
    oldState === TCP_LAST_ACK &&
    segment.kind === SEGMENT_ACK &&
    words[row + C_LAST_DIR] !== direction &&
    words[row + C_LAST_INDEX] === SEGMENT_SYN &&
    (words[row + C_LAST_FLAGS] & LAST_CHALLENGE_ACK) !== 0
  );
}

const RESET_CHECK_WINDOW = 0;
const RESET_NO_WINDOW = 1;
const RESET_KEEP_STATE = 2;
const RESET_INVALID = 3;

/** How far to trust a RST. */
function checkReset(
  words: Int32Array,
  row: number,
  direction: number,
  segment: Segment,
  oldState: number,
  timeouts: Timeouts,
): number {
  if (oldState >= TCP_FIN_WAIT && oldState <= TCP_CLOSE) return RESET_NO_WINDOW;
  const status = words[row + C_STATUS];
  const peer = row + C_SEEN + (1 - direction) * SEEN_WORDS;
  const lastIndex = words[row + C_LAST_INDEX];
  let keep = false;
  if ((words[peer + S_FLAGS] & FLAG_MAXACK_SET) !== 0 && lastIndex !== SEGMENT_SYN) {
    const established = oldState === TCP_ESTABLISHED && (status & IPS_ASSURED) !== 0;
    const highestAck = words[peer + S_MAXACK];
    if (segment.seq === 0 && !established) return RESET_CHECK_WINDOW;
    if (before(segment.seq, highestAck) && !timeouts.tcpIgnoreInvalidRst) return RESET_INVALID;
    if (!established || segment.seq === highestAck) return RESET_CHECK_WINDOW;
    const train =
      lastIndex === SEGMENT_ACK &&
      words[row + C_LAST_DIR] === direction &&
      segment.seq === words[row + C_LAST_END];
    if (train) return RESET_CHECK_WINDOW;
    keep = true; // not exactly where it should be: the receiver may answer with a challenge ACK
  }
  const answersIgnored =
    ((status & IPS_SEEN_REPLY) !== 0 && lastIndex === SEGMENT_SYN) ||
    ((status & IPS_ASSURED) === 0 && lastIndex === SEGMENT_ACK);
  if (answersIgnored && segment.ack === words[row + C_LAST_END]) return RESET_NO_WINDOW;
  if (
    oldState === TCP_SYN_SENT &&
    lastIndex === SEGMENT_ACK &&
    words[row + C_LAST_DIR] === 1 &&
    segment.seq === words[row + C_LAST_ACK]
  )
    return RESET_NO_WINDOW;
  return keep ? RESET_KEEP_STATE : RESET_CHECK_WINDOW;
}
