// MAC control frames of flow control: pause (IEEE 802.3 annex 31B) and priority-based flow control (802.1Qbb, annex 31D).
//
//   destination 01:80:c2:00:00:01 (or the station), source, type 0x8808, then
//   opcode 0x0001, quanta                              every class stops for so many times 512 bits; 0: goes on
//   opcode 0x0101, class-enable vector, eight quanta   the same for each class whose bit is set

export const PAUSE_FRAME_BYTES = 60;
const ETHERTYPE_MAC_CONTROL = 0x8808;
const OPCODE_PAUSE = 0x0001;
const OPCODE_PRIORITY = 0x0101;
const TYPE_AT = 12;
const OPCODE_AT = 14;
const QUANTA_AT = 16;
const CLASS_QUANTA_AT = 18;
const SHORTEST_BYTES = 34;

export const CLASSES = 8;
/** Bits of one quantum. */
export const QUANTUM_BITS = 512;

/** What `readPauseFrame` found. */
export const PauseKind = { NONE: 0, LINK: 1, PRIORITY: 2 } as const;
export type PauseKind = (typeof PauseKind)[keyof typeof PauseKind];

/** A received pause frame. One reusable object per device function. */
export class PauseFrame {
  /** Classes that it speaks of, one bit each; all for LINK. */
  classes = 0;
  /** By class; for LINK the first one counts. */
  readonly quanta = new Uint16Array(CLASSES);
}

/** Reads a frame into `out`; NONE when it is none, or malformed. */
export function readPauseFrame(
  view: DataView,
  at: number,
  lenBytes: number,
  out: PauseFrame,
): PauseKind {
  if (lenBytes < SHORTEST_BYTES || view.getUint16(at + TYPE_AT) !== ETHERTYPE_MAC_CONTROL)
    return PauseKind.NONE;
  if (view.getUint32(at) !== 0x0180c200 || view.getUint16(at + 4) !== 0x0001) return PauseKind.NONE;
  const opcode = view.getUint16(at + OPCODE_AT);
  if (opcode === OPCODE_PAUSE) {
    out.classes = 0xff;
    out.quanta.fill(view.getUint16(at + QUANTA_AT));
    return PauseKind.LINK;
  }
  if (opcode !== OPCODE_PRIORITY) return PauseKind.NONE;
  out.classes = view.getUint16(at + QUANTA_AT) & 0xff;
  for (let i = 0; i < CLASSES; i++) out.quanta[i] = view.getUint16(at + CLASS_QUANTA_AT + 2 * i);
  return PauseKind.PRIORITY;
}

/** A pause frame for every class. */
export function linkPauseFrame(source: Uint8Array, quanta: number): Uint8Array {
  const frame = controlFrame(source, OPCODE_PAUSE);
  new DataView(frame.buffer).setUint16(QUANTA_AT, quanta);
  return frame;
}

/** A pause frame for one priority. */
export function priorityPauseFrame(
  source: Uint8Array,
  priorities: number,
  quanta: number,
): Uint8Array {
  const frame = controlFrame(source, OPCODE_PRIORITY);
  const view = new DataView(frame.buffer);
  view.setUint16(QUANTA_AT, priorities);
  for (let i = 0; i < CLASSES; i++)
    if ((priorities & (1 << i)) !== 0) view.setUint16(CLASS_QUANTA_AT + 2 * i, quanta);
  return frame;
}

function controlFrame(source: Uint8Array, opcode: number): Uint8Array {
  const frame = new Uint8Array(PAUSE_FRAME_BYTES);
  frame.set([0x01, 0x80, 0xc2, 0x00, 0x00, 0x01]);
  frame.set(source.subarray(0, 6), 6);
  const view = new DataView(frame.buffer);
  view.setUint16(TYPE_AT, ETHERTYPE_MAC_CONTROL);
  view.setUint16(OPCODE_AT, opcode);
  return frame;
}
