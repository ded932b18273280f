// Window tracking of conntrack's TCP tracker: which segments can be in the window of the receiver, as far as a box in the
// middle can tell (Rooij, "Real stateful TCP packet filtering in IP Filter"; spec C.4 "Window check"; Linux 6.1).
//
// Per direction: end (highest sequence number seen, plus one), maxend (end + what the receiver allowed), maxwin, highest
// acknowledgement, scale. Segments beyond an upper or below a lower bound are refused unless the direction is liberal.
// All sequence arithmetic is modulo 2^32 on signed words.

import { loadInt32, loadUint16 } from '../../ip/address.ts';
import {
  C_LAST_ACK,
  C_LAST_DIR,
  C_LAST_END,
  C_LAST_SEQ,
  C_LAST_WIN,
  C_RETRANS,
  C_SEEN,
  C_TCP_STATE,
  SEEN_WORDS,
} from './table.ts';
import {
  SEGMENT_ACK,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TH_ACK,
  TH_FIN,
  TH_RST,
  TH_SYN,
} from './tcp-table.ts';

/** Words of a direction. Flags are in the low byte of S_FLAGS, the window scale in the next. */
export const S_END = 0;
export const S_MAXEND = 1;
export const S_MAXWIN = 2;
export const S_MAXACK = 3;
export const S_FLAGS = 4;

export const FLAG_WINDOW_SCALE = 0x01;
export const FLAG_SACK_PERM = 0x02;
export const FLAG_CLOSE_INIT = 0x04;
export const FLAG_BE_LIBERAL = 0x08;
export const FLAG_UNACKNOWLEDGED = 0x10;
export const FLAG_MAXACK_SET = 0x20;

/** Bounds of the acknowledgement window: at least this much old data may be acknowledged. */
const MAXACKWINDOW_MIN = 66000;
const MAX_WINDOW_SCALE = 14;

/** a comes before b in sequence space. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** What the tracker reads of one segment; one reused object. */
export class Segment {
  bytes: Uint8Array = new Uint8Array(0);
  /** Offset of the TCP header. */
  at = 0;
  headerBytes = 0;
  flags = 0;
  kind = 0;
  seq = 0;
  ack = 0;
  /** Sequence number behind the segment: SYN and FIN count. */
  end = 0;
  /** Window field, unscaled. */
  win = 0;
  /** What a helper's changes moved the other side's numbers by: acknowledgements are read less this. */
  ackOffset = 0;

  /** Reads the header at `at` of a segment of `lenBytes` (header included), which must hold it. */
  read(bytes: Uint8Array, at: number, lenBytes: number): void {
    this.bytes = bytes;
    this.at = at;
    this.headerBytes = (bytes[at + 12] >> 4) * 4;
    this.flags = bytes[at + 13];
    this.seq = loadInt32(bytes, at + 4);
    this.ack = loadInt32(bytes, at + 8);
    this.win = loadUint16(bytes, at + 14);
    const syn = (this.flags & TH_SYN) !== 0 ? 1 : 0;
    const fin = (this.flags & TH_FIN) !== 0 ? 1 : 0;
    this.end = (this.seq + lenBytes - this.headerBytes + syn + fin) | 0;
  }
}

/** Reads window scale and SACK-permitted of a SYN into a direction's flag word. */
export function readSynOptions(segment: Segment): number {
  const { bytes } = segment;
  let flags = 0;
  let scale = 0;
  const end = segment.at + segment.headerBytes;
  for (let i = segment.at + 20; i < end;) {
    const kind = bytes[i];
    if (kind === 0) break;
    if (kind === 1) {
      i++;
      continue;
    }
    const lenBytes = i + 1 < end ? bytes[i + 1] : 0;
    if (lenBytes < 2 || i + lenBytes > end) break;
    if (kind === 4 && lenBytes === 2) flags |= FLAG_SACK_PERM;
    else if (kind === 3 && lenBytes === 3) {
      scale = bytes[i + 2] > MAX_WINDOW_SCALE ? MAX_WINDOW_SCALE : bytes[i + 2];
      flags |= FLAG_WINDOW_SCALE;
    }
    i += lenBytes;
  }
  return flags | (scale << 8);
}

/** Highest sequence number that a SACK option acknowledges, or the ACK itself. */
function highestSack(segment: Segment): number {
  const { bytes } = segment;
  let sack = segment.ack;
  const end = segment.at + segment.headerBytes;
  for (let i = segment.at + 20; i < end;) {
    const kind = bytes[i];
    if (kind === 0) break;
    if (kind === 1) {
      i++;
      continue;
    }
    const lenBytes = i + 1 < end ? bytes[i + 1] : 0;
    if (lenBytes < 2 || i + lenBytes > end) break;
    if (kind === 5 && lenBytes >= 10 && (lenBytes - 2) % 8 === 0)
      for (let b = i + 2; b < i + lenBytes; b += 8) {
        const right = (loadInt32(bytes, b + 4) - segment.ackOffset) | 0;
        if (before(sack, right)) sack = right;
      }
    i += lenBytes;
  }
  return sack;
}

/** Scale that a direction applies to its windows. */
function scaleOf(flags: number): number {
  return (flags >> 8) & 0xf;
}

/** Before the check: learns a direction of which nothing is known, or that starts anew. */
function learnSender(
  words: Int32Array,
  row: number,
  sender: number,
  receiver: number,
  direction: number,
  segment: Segment,
  sack: number,
): boolean {
  const syn = (segment.flags & TH_SYN) !== 0;
  const win = segment.win === 0 ? 1 : segment.win;
  const state = words[row + C_TCP_STATE];
  if (words[sender + S_MAXWIN] === 0) {
    if (syn) {
      words[sender + S_END] = words[sender + S_MAXEND] = segment.end;
      words[sender + S_MAXWIN] = win;
      words[sender + S_FLAGS] =
        (words[sender + S_FLAGS] & FLAG_BE_LIBERAL) | readSynOptions(segment);
      // Both ends must offer scaling for either to use it.
      if ((words[sender + S_FLAGS] & words[receiver + S_FLAGS] & FLAG_WINDOW_SCALE) === 0) {
        words[sender + S_FLAGS] &= 0xff;
        words[receiver + S_FLAGS] &= 0xff;
      }
      return (segment.flags & TH_ACK) === 0; // simultaneous open: nothing to check yet
    }
    const scaled = segment.win << scaleOf(words[sender + S_FLAGS]);
    words[sender + S_END] = segment.end;
    words[sender + S_MAXWIN] = scaled === 0 ? 1 : scaled;
    words[sender + S_MAXEND] = (segment.end + words[sender + S_MAXWIN]) | 0;
    if (words[receiver + S_MAXWIN] === 0)
      words[receiver + S_END] = words[receiver + S_MAXEND] = sack;
    else if (sack === ((words[receiver + S_END] + 1) | 0)) words[receiver + S_END] = sack; // answer to a keepalive
    return false;
  }
  const restart =
    (state === TCP_SYN_SENT && direction === 0) || (state === TCP_SYN_RECV && direction === 1);
  if (restart && before(words[sender + S_END], segment.end)) {
    words[sender + S_END] = words[sender + S_MAXEND] = segment.end;
    words[sender + S_MAXWIN] = win;
    words[sender + S_FLAGS] = (words[sender + S_FLAGS] & FLAG_BE_LIBERAL) | readSynOptions(segment);
  }
  return false;
}

/** Takes an in-window segment into the books of both directions. */
function account(
  words: Int32Array,
  row: number,
  sender: number,
  receiver: number,
  direction: number,
  segment: Segment,
  seq: number,
  end: number,
  ack: number,
  sack: number,
): void {
  const syn = (segment.flags & TH_SYN) !== 0;
  const win = syn ? segment.win : segment.win << scaleOf(words[sender + S_FLAGS]);
  const seenWin = (win + (sack - ack)) | 0;
  if (words[sender + S_MAXWIN] < seenWin) words[sender + S_MAXWIN] = seenWin;
  if (before(words[sender + S_END], end)) {
    words[sender + S_END] = end;
    words[sender + S_FLAGS] |= FLAG_UNACKNOWLEDGED;
  }
  if ((segment.flags & TH_ACK) !== 0) {
    if ((words[sender + S_FLAGS] & FLAG_MAXACK_SET) === 0) {
      words[sender + S_MAXACK] = ack;
      words[sender + S_FLAGS] |= FLAG_MAXACK_SET;
    } else if (before(words[sender + S_MAXACK], ack)) words[sender + S_MAXACK] = ack;
  }
  if (words[receiver + S_MAXWIN] !== 0 && before(words[sender + S_MAXEND], end))
    words[receiver + S_MAXWIN] += (end - words[sender + S_MAXEND]) | 0;
  if (!before((sack + win) | 0, words[receiver + S_MAXEND])) {
    words[receiver + S_MAXEND] = (sack + win + (win === 0 ? 1 : 0)) | 0;
  }
  if (ack === words[receiver + S_END]) words[receiver + S_FLAGS] &= ~FLAG_UNACKNOWLEDGED;
  if (segment.kind !== SEGMENT_ACK) return;
  const same =
    words[row + C_LAST_DIR] === direction &&
    words[row + C_LAST_SEQ] === seq &&
    words[row + C_LAST_ACK] === ack &&
    words[row + C_LAST_END] === end &&
    words[row + C_LAST_WIN] === win;
  if (same) {
    words[row + C_RETRANS]++;
    return;
  }
  words[row + C_LAST_DIR] = direction;
  words[row + C_LAST_SEQ] = seq;
  words[row + C_LAST_ACK] = ack;
  words[row + C_LAST_END] = end;
  words[row + C_LAST_WIN] = win;
  words[row + C_RETRANS] = 0;
}

/** Whether the segment fits the windows (always, when liberal); takes it into the books if so. */
export function inWindow(
  words: Int32Array,
  row: number,
  direction: number,
  segment: Segment,
  beLiberal: boolean,
): boolean {
  const sender = row + C_SEEN + direction * SEEN_WORDS;
  const receiver = row + C_SEEN + (1 - direction) * SEEN_WORDS;
  let { seq, end, ack } = segment;
  let sack = ack;
  if ((words[receiver + S_FLAGS] & FLAG_SACK_PERM) !== 0 && segment.headerBytes > 20)
    sack = highestSack(segment);
  if (learnSender(words, row, sender, receiver, direction, segment, sack)) return true;
  const rst = (segment.flags & TH_RST) !== 0;
  if ((segment.flags & TH_ACK) === 0 || (rst && ack === 0)) ack = sack = words[receiver + S_END];
  if (rst && seq === 0 && words[row + C_TCP_STATE] === TCP_SYN_SENT)
    seq = end = words[sender + S_END];
  const receiverWin = words[receiver + S_MAXWIN];
  const ackWindow =
    words[sender + S_MAXWIN] > MAXACKWINDOW_MIN ? words[sender + S_MAXWIN] : MAXACKWINDOW_MIN;
  const inReceiveWindow =
    receiverWin === 0 || !before(end, (words[sender + S_END] - receiverWin) | 0);
  if (
    !before(words[sender + S_MAXEND], seq) &&
    inReceiveWindow &&
    !before(words[receiver + S_END], sack) &&
    !before(sack, (words[receiver + S_END] - ackWindow) | 0)
  ) {
    account(words, row, sender, receiver, direction, segment, seq, end, ack, sack);
    return true;
  }
  return beLiberal || (words[sender + S_FLAGS] & FLAG_BE_LIBERAL) !== 0;
}
