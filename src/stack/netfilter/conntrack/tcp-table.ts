// The state table of conntrack's TCP tracker (spec C.4; Linux 6.1, checked against recordings): what a segment of each kind
// in each direction makes of each state. IV: the packet is INVALID, the state stays. IG: the packet passes, the state stays,
// the segment is remembered because the two ends may know better than we do.

export const TCP_NONE = 0;
export const TCP_SYN_SENT = 1;
export const TCP_SYN_RECV = 2;
export const TCP_ESTABLISHED = 3;
export const TCP_FIN_WAIT = 4;
export const TCP_CLOSE_WAIT = 5;
export const TCP_LAST_ACK = 6;
export const TCP_TIME_WAIT = 7;
export const TCP_CLOSE = 8;
export const TCP_SYN_SENT2 = 9;
/** Outcomes that are no states. */
export const TCP_INVALID = 10;
export const TCP_IGNORE = 11;

/** Names as `conntrack -L` prints them. */
export const TCP_STATE_NAMES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
] as const;

/** Kinds of segment, first match: RST, SYN with or without ACK, FIN, ACK. */
export const SEGMENT_SYN = 0;
export const SEGMENT_SYNACK = 1;
export const SEGMENT_FIN = 2;
export const SEGMENT_ACK = 3;
export const SEGMENT_RST = 4;
export const SEGMENT_NONE = 5;

export const TH_FIN = 0x01;
export const TH_SYN = 0x02;
export const TH_RST = 0x04;
export const TH_ACK = 0x10;
export const TH_URG = 0x20;

const CODES: Record<string, number> = {
  NO: TCP_NONE,
  SS: TCP_SYN_SENT,
  SR: TCP_SYN_RECV,
  ES: TCP_ESTABLISHED,
  FW: TCP_FIN_WAIT,
  CW: TCP_CLOSE_WAIT,
  LA: TCP_LAST_ACK,
  TW: TCP_TIME_WAIT,
  CL: TCP_CLOSE,
  S2: TCP_SYN_SENT2,
  IV: TCP_INVALID,
  IG: TCP_IGNORE,
};

// Rows: states NO..S2; columns: original SYN, SYNACK, FIN, ACK, RST, then the same of the reply direction.
const TABLE = [
  'SS IV IV ES IV  IV IV IV IV IV', // NO
  'SS IV IV IV CL  S2 SR IV IG CL', // SS
  'IG SR FW ES CL  IV IG FW SR CL', // SR
  'IG IV FW ES CL  IV IG FW ES CL', // ES
  'IG IV LA CW CL  IV IG LA CW CL', // FW
  'IG IV LA CW CL  IV IG LA CW CL', // CW
  'IG IV LA TW CL  IV IG LA TW CL', // LA
  'SS IV TW TW CL  SS IG TW TW CL', // TW
  'SS IV CL CL CL  IV IG CL CL CL', // CL
  'S2 SR IV IV CL  S2 SR IV IG CL', // S2
];

const OUTCOMES = buildOutcomes();

function buildOutcomes(): Uint8Array {
  const out = new Uint8Array(10 * 2 * 6).fill(TCP_INVALID);
  TABLE.forEach((row, state) => {
    row.split(/\s+/).forEach((word, column) => {
      const direction = column < 5 ? 0 : 1;
      out[(state * 2 + direction) * 6 + (column % 5)] = CODES[word];
    });
  });
  return out;
}

/** New state, TCP_INVALID or TCP_IGNORE. */
export function tcpOutcome(state: number, direction: number, segment: number): number {
  return OUTCOMES[(state * 2 + direction) * 6 + segment];
}

/** Kind of a segment from its flag byte. */
export function segmentKind(flags: number): number {
  if ((flags & TH_RST) !== 0) return SEGMENT_RST;
  if ((flags & TH_SYN) !== 0) return (flags & TH_ACK) !== 0 ? SEGMENT_SYNACK : SEGMENT_SYN;
  if ((flags & TH_FIN) !== 0) return SEGMENT_FIN;
  return (flags & TH_ACK) !== 0 ? SEGMENT_ACK : SEGMENT_NONE;
}

const LEGAL_FLAGS = legalFlags();

function legalFlags(): Uint8Array {
  const legal = new Uint8Array(64);
  const sets = [
    TH_SYN,
    TH_SYN | TH_URG,
    TH_SYN | TH_ACK,
    TH_RST,
    TH_RST | TH_ACK,
    TH_FIN | TH_ACK,
    TH_FIN | TH_ACK | TH_URG,
    TH_ACK,
    TH_ACK | TH_URG,
  ];
  for (const set of sets) legal[set] = 1;
  return legal;
}

/** Whether the combination of flags (PSH, ECE and CWR apart) may occur at all. */
export function flagsAreLegal(flags: number): boolean {
  return LEGAL_FLAGS[flags & 0x37] === 1;
}
