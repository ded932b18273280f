// The admin queue in BAR2: how a driver reaches the flow tables that the 82599 does not have.
//
// A command ring and a completion ring in host memory, as modern NICs have them. The driver writes 128-byte commands,
// moves ADM_TAIL, and gets a 32-byte completion per command, in order, after simulated time, with an MSI-X. Completion
// slot n (same index as the command's slot) is new when its phase bit equals the driver's expectation: 1 in the first
// lap after ADM_ENABLE was set, flipping each lap. All words are 32-bit little endian; addresses inside keys and
// actions are bytes in network order. Offsets below are bytes from the start of the command, completion or record.

/** Bytes of BAR2. */
export const BAR2_BYTES = 0x1000;
export const ADMIN_VERSION = 1;

// Registers of BAR2.
/** Read only: ADMIN_VERSION. */
export const ADM_VERSION = 0x00;
/** Read only: exact-match entries of the device (handles are below this). */
export const ADM_CAP_FLOW_ENTRIES = 0x04;
/** Read only: TCAM entries. */
export const ADM_CAP_TCAM_ENTRIES = 0x08;
/** Read only: bits of a TCAM key. */
export const ADM_CAP_TCAM_KEY_BITS = 0x0c;
/** Read only: ports in bits 7:0, this function's port in bits 15:8, queues per port in bits 23:16, vectors in 31:24. */
export const ADM_CAP_PORTS = 0x10;
/** Read only: largest ADM_SLOTS. */
export const ADM_CAP_MAX_SLOTS = 0x14;
/** Read only: what the first word of TCAM_ADD is, TCAM_BY_POSITION or TCAM_BY_PRIORITY. */
export const ADM_CAP_TCAM_MODE = 0x18;
/** Read only: line rate of the function's port, Mb/s (LINKS of BAR0 tells no more than 10G apart). */
export const ADM_LINK_MBPS = 0x1c;
/** Read only: stages of match-action tables in bits 7:0, tables of the device in 15:8, range registers in 23:16. */
export const ADM_CAP_STAGES = 0x48;
export const TCAM_BY_POSITION = 0;
export const TCAM_BY_PRIORITY = 1;
export const ADM_BASE_LO = 0x20;
export const ADM_BASE_HI = 0x24;
/** Slots of both rings: a power of two, 2 to ADM_CAP_MAX_SLOTS. */
export const ADM_SLOTS = 0x28;
export const ADM_COMPLETION_LO = 0x2c;
export const ADM_COMPLETION_HI = 0x30;
/** MSI-X vector of completions (gated by EIMS/EIMS_EX like a queue's vector). */
export const ADM_VECTOR = 0x34;
/** Bit 0 starts the queue at slot 0, phase 1. Clearing it stops it; commands not yet completed are lost. */
export const ADM_ENABLE = 0x38;
/** Read only: slot of the next command that the device will execute. */
export const ADM_HEAD = 0x3c;
/** Doorbell: slot after the last command. */
export const ADM_TAIL = 0x40;
/** Read only: 0, or why the queue stopped (ADM_ERROR_*); cleared by ADM_ENABLE. */
export const ADM_ERROR = 0x44;
export const ADM_ERROR_BAD_SETUP = 1;
export const ADM_ERROR_BAD_TAIL = 2;
export const ADM_ERROR_DMA_FAULT = 3;

export const COMMAND_BYTES = 128;
export const COMPLETION_BYTES = 32;
export const COUNTER_RECORD_BYTES = 32;

export const Opcode = {
  NOP: 0,
  FLOW_ADD: 1,
  FLOW_DEL: 2,
  COUNTERS_READ: 3,
  TCAM_ADD: 4,
  TCAM_DEL: 5,
  AGE_QUERY: 6,
  PORT_SET: 7,
  RESET_TABLES: 8,
  // Staged tables (switch-format.ts).
  TABLE_SET: 16,
  TABLE_DEL: 17,
  TABLE_QUERY: 18,
  DEFAULT_SET: 19,
  ENTRY_ADD: 20,
  ENTRY_MOD: 21,
  ENTRY_DEL: 22,
  ENTRY_COUNTERS: 23,
  AGED_READ: 24,
  GROUP_SET: 25,
  GROUP_DEL: 26,
  METER_SET: 27,
  METER_DEL: 28,
} as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

export const Status = {
  OK: 0,
  NO_SPACE: 1,
  EXISTS: 2,
  NOT_FOUND: 3,
  BAD_KEY: 4,
  BAD_ACTION: 5,
  BAD_PORT: 6,
  BAD_OPCODE: 7,
  BAD_RANGE: 8,
  DMA_FAULT: 9,
  /** What is named is in use by something else. */
  IN_USE: 10,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** Machine-readable reasons: the completion's detail word. */
export const Detail = {
  NONE: 0,
  /** All entries of the table are in use. */
  TABLE_FULL: 1,
  /** Free entries exist, but not in reach of this key's buckets, and the stash is full. */
  BUCKET_FULL: 2,
  KEY_FAMILY: 3,
  KEY_PROTOCOL: 4,
  KEY_VLAN: 5,
  KEY_PORT: 6,
  ACTION_VERDICT: 7,
  ACTION_PORT: 8,
  ACTION_QUEUE: 9,
  ACTION_FLAGS: 10,
  ACTION_VLAN: 11,
  HANDLE_RANGE: 12,
  HANDLE_FREE: 13,
  POSITION_TAKEN: 14,
  POSITION_RANGE: 15,
  TABLE_ID: 16,
  SAME_KEY: 17,
  BUFFER: 18,
  PRIORITY_RANGE: 19,
  // Staged tables.
  /** The device has no stages. */
  NO_STAGES: 20,
  /** No template of the table has a field that the key compares; result: its PHV word. */
  FIELD_NOT_IN_TEMPLATE: 21,
  /** The key takes more slices (exact: words) side by side than a stage has. */
  KEY_TOO_WIDE: 22,
  /** Exact tables compare every bit of the key; LPM tables a prefix. Result: the PHV word. */
  MASK_NOT_ALLOWED: 23,
  NO_FREE_ENTRY: 24,
  /** The stage's slices (exact: entries) are given to tables or templates already. */
  NO_FREE_SLICES: 25,
  NO_FREE_RANGE_REGISTER: 26,
  /** The table's key has no range bits, or the device no registers. */
  RANGE_NOT_ALLOWED: 27,
  /** The kind of action is not allowed in this stage; result: the kind. */
  ACTION_NOT_SUPPORTED: 28,
  TOO_MANY_ACTIONS: 29,
  /** SET of a PHV word or bit that is not writable, or that the table did not declare; result: the word. */
  ACTION_FIELD: 30,
  /** Arguments of an action that make no sense; result: the kind. */
  ACTION_ARGUMENT: 31,
  NO_SUCH_TABLE: 32,
  GOTO_BACKWARDS: 33,
  NO_SUCH_GROUP: 34,
  GROUP_BUCKETS: 35,
  GROUP_IN_USE: 36,
  NO_SUCH_METER: 37,
  METER_CONFIG: 38,
  METER_IN_USE: 39,
  NO_FREE_COUNTER: 40,
  TABLE_EXISTS: 41,
  TABLE_IN_USE: 42,
  TABLE_CONFIG: 43,
  /** The stage has as many tables as it can. */
  NO_FREE_TABLE: 44,
  BATCH_SIZE: 45,
  /** The device has no flow table. */
  NO_FLOW_TABLE: 46,
} as const;
export type Detail = (typeof Detail)[keyof typeof Detail];

/** Name of each Detail, by number: the reason string of a driver's extack. */
export const DETAIL_NAMES: readonly string[] = [
  'none',
  'table-full',
  'bucket-full',
  'key-family',
  'key-protocol',
  'key-vlan',
  'key-port',
  'action-verdict',
  'action-port',
  'action-queue',
  'action-flags',
  'action-vlan',
  'handle-range',
  'handle-free',
  'position-taken',
  'position-range',
  'table-id',
  'same-key',
  'buffer',
  'priority-range',
  'no-stages',
  'field-not-in-template',
  'key-too-wide',
  'mask-not-allowed',
  'no-free-entry',
  'no-free-slices',
  'no-free-range-register',
  'range-not-allowed',
  'action-not-supported',
  'too-many-actions',
  'action-field',
  'action-argument',
  'no-such-table',
  'goto-backwards',
  'no-such-group',
  'group-buckets',
  'group-in-use',
  'no-such-meter',
  'meter-config',
  'meter-in-use',
  'no-free-counter',
  'table-exists',
  'table-in-use',
  'table-config',
  'no-free-table',
  'batch-size',
  'no-flow-table',
];

// Common to all commands.
/** u16. */
export const CMD_OPCODE = 0;
/** u32, echoed in the completion. */
export const CMD_COOKIE = 4;

// FLOW_ADD: key.
/** u8. */
export const FLOW_IN_PORT = 8;
/** u8: 4 or 6. */
export const FLOW_FAMILY = 9;
/** u8: 6 or 17. */
export const FLOW_PROTO = 10;
/** u16: VLAN id to match, FLOW_NO_VLAN for untagged. */
export const FLOW_VLAN = 12;
export const FLOW_NO_VLAN = 0xffff;
/** u16: longest L3 packet (bytes) that may be forwarded, 0 for no limit. */
export const FLOW_MTU = 14;
/** u16, value (little endian like all numbers). */
export const FLOW_SPORT = 16;
export const FLOW_DPORT = 18;
/** 4 or 16 bytes, network order; the rest must be 0. */
export const FLOW_SRC = 24;
export const FLOW_DST = 40;
// FLOW_ADD: actions (see action/action-ram.ts).
/** u32: ActionFlag bits. */
export const FLOW_ACTION_FLAGS = 56;
/** u8: Verdict. */
export const FLOW_VERDICT = 60;
/** u8: egress port, for Verdict.OUTPUT. */
export const FLOW_OUT_PORT = 61;
/** u8: queue, with ActionFlag.QUEUE and Verdict.TO_HOST. */
export const FLOW_QUEUE = 62;
/** u32: mark, with ActionFlag.MARK. */
export const FLOW_MARK = 64;
/** 6 bytes, with ActionFlag.SET_ETH (both addresses). */
export const FLOW_NEW_ETH_DST = 68;
export const FLOW_NEW_ETH_SRC = 74;
/** u16 values, with SET_SPORT, SET_DPORT. */
export const FLOW_NEW_SPORT = 80;
export const FLOW_NEW_DPORT = 82;
/** u16: TCI to push, with PUSH_VLAN. */
export const FLOW_PUSH_TCI = 84;
/** 4 or 16 bytes by the key's family, with SET_SRC, SET_DST. */
export const FLOW_NEW_SRC = 88;
export const FLOW_NEW_DST = 104;

/** What an entry does with a packet in the end. */
export const Verdict = { OUTPUT: 0, DROP: 1, TO_HOST: 2, CONTINUE: 3 } as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Rewrites, executed in the order: pop, MACs, addresses, ports, TTL, push. */
export const ActionFlag = {
  SET_ETH: 1 << 0,
  SET_SRC: 1 << 1,
  SET_DST: 1 << 2,
  SET_SPORT: 1 << 3,
  SET_DPORT: 1 << 4,
  DEC_TTL: 1 << 5,
  POP_VLAN: 1 << 6,
  PUSH_VLAN: 1 << 7,
  MARK: 1 << 8,
  QUEUE: 1 << 9,
} as const;
export const ACTION_FLAGS_ALL = 0x3ff;

// FLOW_DEL, TCAM_DEL.
/** u32: handle. */
export const DEL_HANDLE = 8;

// TCAM_ADD: a rule at a position; the lowest position that matches wins. Verdict.CONTINUE goes on to the flow stage.
// Devices that place rules themselves (ADM_CAP_TCAM_MODE) take a priority instead: the lowest one that matches wins, any
// of those with equal priority; the completion brings the handle, and comes when all rules that had to move have moved.
/** u32: position (it becomes the handle), TCAM_FIRST_FREE for the lowest free one; or priority. */
export const TCAM_POSITION = 8;
export const TCAM_FIRST_FREE = 0xffffffff;
/** u8 Verdict, u8 egress port, u8 queue, u8 action flags (bit 0 queue, bit 1 mark). */
export const TCAM_VERDICT = 12;
export const TCAM_OUT_PORT = 13;
export const TCAM_QUEUE = 14;
export const TCAM_FLAGS = 15;
export const TCAM_FLAG_QUEUE = 1;
export const TCAM_FLAG_MARK = 2;
export const TCAM_MARK = 16;
/** 13 words each, laid out as parse/key-layout.ts says (TCAM key). */
export const TCAM_KEY_WORDS = 13;
export const TCAM_VALUE = 24;
export const TCAM_MASK = 76;

// COUNTERS_READ and AGE_QUERY.
/** u32: TABLE_FLOW or TABLE_TCAM. */
export const READ_TABLE = 8;
export const TABLE_FLOW = 0;
export const TABLE_TCAM = 1;
/** u32: first handle and number of handles. */
export const READ_FIRST = 12;
export const READ_COUNT = 16;
/** u64: I/O address of the result buffer. */
export const READ_IOVA = 24;
/** AGE_QUERY, u32: AGE_HIT_BITS or AGE_IDLE_LIST. */
export const AGE_MODE = 32;
/** Result: a bitmap, one bit per handle from READ_FIRST, u32 words; bits are cleared by reading. */
export const AGE_HIT_BITS = 0;
/** Result: u32 handles whose last hit (or insertion) is at least AGE_IDLE_PS ago; READ result word says how many. */
export const AGE_IDLE_LIST = 1;
/** u32: room in the result buffer, handles. */
export const AGE_MAX_RESULTS = 36;
/** u64, ps. */
export const AGE_IDLE_PS = 40;

// Counter record: u64 packets, u64 bytes (frame without FCS, as received), u64 last hit (ps, 0 never), u32 flags, u32 cookie.
export const REC_PACKETS = 0;
export const REC_BYTES = 8;
export const REC_LAST_HIT_PS = 16;
export const REC_FLAGS = 24;
export const REC_FLAG_VALID = 1;
export const REC_FLAG_HIT = 2;
export const REC_COOKIE = 28;

// PORT_SET.
/** u32: port. */
export const PORT_INDEX = 8;
/** u32: which of the following to set: bit 0 enable, bit 1 MTU. */
export const PORT_VALID = 12;
/** u32: 1 switches the table stages on for packets that enter at this port (reset: on). */
export const PORT_FLOW_ENABLE = 16;
/** u32: longest L3 packet that the pipeline sends out of this port, 0 for no limit. */
export const PORT_MTU = 20;

// RESET_TABLES.
/** u32: 0 removes what this function added, 1 everything. */
export const RESET_SCOPE = 8;

// Completion.
/** u32: cookie of the command. */
export const CPL_COOKIE = 0;
/** u16 opcode, u16 status. */
export const CPL_OPCODE = 4;
export const CPL_STATUS = 6;
/** u32: handle (FLOW_ADD, TCAM_ADD) or number of records written (reads) or of entries removed (RESET_TABLES). */
export const CPL_RESULT = 8;
/** u32: Detail. */
export const CPL_DETAIL = 12;
/** u32: entries that the command moved or displaced. */
export const CPL_MOVES = 16;
/** u32: bit 0 phase, bits 31:16 slot after this command (new head). */
export const CPL_PHASE = 28;

/** Writes a u64 as two little-endian words; `value` below 2^53. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Reads a u64 below 2^53. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}
