// A plain model of what a connection tracker makes of the segments of one pair of ports, written from the behaviour table of the
// specification (spec C.4): states by name, rules in its order, no windows (the traffic it is used with stays inside them).

export interface NaiveSegment {
  from: 'c' | 's';
  /** Letters of SFRPAU. */
  flags: string;
  seq: number;
  ack: number;
  payloadBytes: number;
}

export type NaiveMatch = 'new' | 'established' | 'invalid';

type State = 'NO' | 'SS' | 'SR' | 'ES' | 'FW' | 'CW' | 'LA' | 'TW' | 'CL' | 'S2';
type Kind = 'RST' | 'SYN' | 'SYNACK' | 'FIN' | 'ACK' | 'NONE';

/** Columns: SYN SYNACK FIN ACK RST of the original direction, then of the reply. */
const TABLE: Record<State, string> = {
  NO: 'SS IV IV ES IV   IV IV IV IV IV',
  SS: 'SS IV IV IV CL   S2 SR IV IG CL',
  SR: 'IG SR FW ES CL   IV IG FW SR CL',
  ES: 'IG IV FW ES CL   IV IG FW ES CL',
  FW: 'IG IV LA CW CL   IV IG LA CW CL',
  CW: 'IG IV LA CW CL   IV IG LA CW CL',
  LA: 'IG IV LA TW CL   IV IG LA TW CL',
  TW: 'SS IV TW TW CL   SS IG TW TW CL',
  CL: 'SS IV CL CL CL   IV IG CL CL CL',
  S2: 'S2 SR IV IV CL   S2 SR IV IG CL',
};
const COLUMNS: readonly Kind[] = ['SYN', 'SYNACK', 'FIN', 'ACK', 'RST'];

export const NAIVE_STATE_NAMES: Record<State, string> = {
  NO: 'NONE',
  SS: 'SYN_SENT',
  SR: 'SYN_RECV',
  ES: 'ESTABLISHED',
  FW: 'FIN_WAIT',
  CW: 'CLOSE_WAIT',
  LA: 'LAST_ACK',
  TW: 'TIME_WAIT',
  CL: 'CLOSE',
  S2: 'SYN_SENT2',
};

const LEGAL = new Set(['S', 'SU', 'SA', 'R', 'RA', 'FA', 'FAU', 'A', 'AU']);
const CLOSING = new Set<State>(['FW', 'CW', 'LA', 'TW', 'CL']);

function kindOf(flags: string): Kind {
  if (flags.includes('R')) return 'RST';
  if (flags.includes('S')) return flags.includes('A') ? 'SYNACK' : 'SYN';
  if (flags.includes('F')) return 'FIN';
  return flags.includes('A') ? 'ACK' : 'NONE';
}

interface Entry {
  client: 'c' | 's';
  state: State;
  seenReply: boolean;
  assured: boolean;
  closed: boolean;
  last: { kind: Kind; from: 'c' | 's'; end: number } | null;
  /** An ignored SYN in LAST_ACK may provoke an ACK that means nothing. */
  challenge: boolean;
  simultaneous: boolean;
  /** Highest acknowledgement that each side sent. */
  acked: { c: number; s: number };
}

export class NaiveTcpConntrack {
  entry: Entry | null = null;

  /** What the tracker says of a segment; `entry` is the entry behind it. */
  pass(segment: NaiveSegment): NaiveMatch {
    const plain = [...'SFRAU'].filter((l) => segment.flags.includes(l)).join('');
    if (!LEGAL.has(plain)) return 'invalid';
    const kind = kindOf(segment.flags);
    const { entry } = this;
    if (entry === null) return this.open(segment, kind);
    const original = segment.from === entry.client;
    let next = outcome(entry.state, original, kind);
    if (next === 'IV') return 'invalid';
    if (next === 'SS' && (entry.state === 'TW' || entry.state === 'CL')) {
      const last = entry.last;
      const aborted = last !== null && last.from === segment.from && last.kind === 'RST';
      if (entry.closed || aborted) {
        this.entry = null;
        return this.open(segment, kind);
      }
      next = 'IG';
    }
    if (next === 'IG') {
      if (!this.resynchronises(entry, segment, kind)) return this.ignore(entry, segment, kind);
      entry.state = 'SS';
      next = 'SR';
    }
    if (next === 'TW' && this.isChallenge(entry, segment, kind)) {
      entry.challenge = false;
      return this.matched(entry, original);
    }
    if (next === 'S2') entry.simultaneous = true;
    if (next === 'SR' && !original && kind === 'ACK' && entry.simultaneous) next = 'ES';
    if (kind === 'RST') {
      const verdict = this.reset(entry, segment);
      if (verdict === 'invalid') return 'invalid';
      if (verdict === 'keep') next = entry.state;
    }
    return this.enter(entry, segment, kind, original, next);
  }

  private open(segment: NaiveSegment, kind: Kind): NaiveMatch {
    if (kind !== 'SYN' && kind !== 'ACK') return 'invalid';
    this.entry = {
      client: segment.from,
      state: kind === 'SYN' ? 'SS' : 'ES',
      seenReply: false,
      assured: false,
      closed: false,
      last: { kind, from: segment.from, end: endOf(segment) },
      challenge: false,
      simultaneous: false,
      acked: { c: 0, s: 0 },
    };
    this.note(this.entry, segment);
    return 'new';
  }

  private ignore(entry: Entry, segment: NaiveSegment, kind: Kind): NaiveMatch {
    entry.last = { kind, from: segment.from, end: endOf(segment) };
    const original = segment.from === entry.client;
    if (kind === 'SYN' && original) {
      // What was remembered of an earlier SYN is replaced.
      entry.challenge = entry.state === 'LA';
      entry.simultaneous = false;
    }
    return this.matched(entry, original);
  }

  /** A SYNACK for a SYN that was ignored: both ends began anew. */
  private resynchronises(entry: Entry, segment: NaiveSegment, kind: Kind): boolean {
    const { last } = entry;
    const answers =
      kind === 'SYNACK' &&
      last !== null &&
      last.kind === 'SYN' &&
      last.from !== segment.from &&
      segment.ack === last.end;
    if (answers) {
      entry.closed = false;
      entry.acked = { c: 0, s: 0 };
    }
    return answers;
  }

  private isChallenge(entry: Entry, segment: NaiveSegment, kind: Kind): boolean {
    const { last, challenge } = entry;
    return (
      entry.state === 'LA' &&
      kind === 'ACK' &&
      challenge &&
      last !== null &&
      last.kind === 'SYN' &&
      last.from !== segment.from
    );
  }

  private reset(entry: Entry, segment: NaiveSegment): 'invalid' | 'keep' | 'close' {
    if (CLOSING.has(entry.state)) return 'close';
    const { last } = entry;
    const expected = entry.acked[segment.from === 'c' ? 's' : 'c'];
    if (expected === 0 || last?.kind === 'SYN') return 'close';
    if (segment.seq < expected && !(segment.seq === 0 && entry.state !== 'ES')) return 'invalid';
    if (entry.state !== 'ES' || !entry.assured || segment.seq === expected) return 'close';
    const train =
      last !== null &&
      last.kind === 'ACK' &&
      last.from === segment.from &&
      last.end === segment.seq;
    return train ? 'close' : 'keep';
  }

  private enter(
    entry: Entry,
    segment: NaiveSegment,
    kind: Kind,
    original: boolean,
    next: State,
  ): NaiveMatch {
    const before = entry.state;
    const wasNew = !entry.seenReply;
    entry.state = next;
    if (next === 'FW' && before !== 'FW') entry.closed = true;
    entry.last = { kind, from: segment.from, end: endOf(segment) };
    if (!wasNew && (before === 'SR' || before === 'ES') && next === 'ES') entry.assured = true;
    this.note(entry, segment);
    const match = this.matched(entry, original);
    if (wasNew && kind === 'RST') this.entry = null;
    return match;
  }

  private note(entry: Entry, segment: NaiveSegment): void {
    if (segment.flags.includes('A') && segment.ack > entry.acked[segment.from])
      entry.acked[segment.from] = segment.ack;
  }

  private matched(entry: Entry, original: boolean): NaiveMatch {
    if (!original) {
      entry.seenReply = true;
      return 'established';
    }
    return entry.seenReply ? 'established' : 'new';
  }
}

function outcome(state: State, original: boolean, kind: Kind): State | 'IV' | 'IG' {
  const column = COLUMNS.indexOf(kind);
  if (column < 0) return 'IV';
  return TABLE[state].split(/ +/)[column + (original ? 0 : 5)] as State | 'IV' | 'IG';
}

function endOf(segment: NaiveSegment): number {
  const { flags } = segment;
  return (
    segment.seq +
    segment.payloadBytes +
    (flags.includes('S') ? 1 : 0) +
    (flags.includes('F') ? 1 : 0)
  );
}
