// Registers of flow control and of the packet buffer's split (82599 8.2.3.3 and 8.2.3.8): their places, their lines in the register
// map, and what writing them does.

import type { PciFunction } from '../function.ts';
import { many, one, type RegisterDef } from '../register-def.ts';
import { MRQC_MRQE_MASK, RXPBSIZE } from '../regs.ts';
import { SendMode } from './flow-control.ts';
import { CLASSES } from './pause-frame.ts';

const RTRUP2TC = 0x03020;
/** Two timers a register: class 2i in bits 15:0, 2i + 1 in 31:16. */
export const FCTTV = (i: number): number => 0x03200 + 4 * i;
export const FCRTL = (i: number): number => 0x03220 + 4 * i;
export const FCRTL_XONE = 1 << 31;
export const FCRTH = (i: number): number => 0x03260 + 4 * i;
export const FCRTH_FCEN = 1 << 31;
/** Thresholds in bits 18:5: multiples of 32 bytes. */
export const FC_THRESHOLD_MASK = 0x7ffe0;
export const FCRTV = 0x032a0;
export const FCCFG = 0x03d00;
export const FCCFG_TFCE_802_3X = 1 << 3;
const FCCFG_TFCE_PRIORITY = 1 << 4;
export const MFLCN = 0x04294;
export const MFLCN_DPF = 1 << 1;
const MFLCN_RPFCE = 1 << 2;
export const MFLCN_RFCE = 1 << 3;
const MTQC = 0x08120;
const MTQC_RT_ENA = 1 << 0;
const MTQC_NUM_TC_MASK = 0xc;
const MTQC_8TC = 0xc;
const RTTUP2TC = 0x0c800;
/** MRQC.MRQE from 2 (eight classes) to 5 (four classes and RSS). */
const MRQE_DCB_FIRST = 2;
const MRQE_DCB_LAST = 5;
const SIZE_MASK = 0xffc00;

export const FLOW_CONTROL_REGISTERS: readonly RegisterDef[] = [
  one(
    'RTRUP2TC',
    RTRUP2TC,
    'hook',
    0,
    'Receive traffic class by user priority, with MRQC.MRQE 2 to 5',
    'three bits a priority from bit 0 on',
  ),
  one(
    'RTTUP2TC',
    RTTUP2TC,
    'hook',
    0,
    'Class of a user priority for pause frames and forwarded frames',
  ),
  many(
    'FCTTV',
    FCTTV,
    4,
    'hook',
    0,
    'Pause time of XOFF frames by class, in 512 bit times',
    'TTV 2i 15:0, 2i+1 31:16',
  ),
  many(
    'FCRTL',
    FCRTL,
    CLASSES,
    'hook',
    0,
    'XON when a class holds at most this many bytes',
    'RTL 18:5, XONE 31',
  ),
  many(
    'FCRTH',
    FCRTH,
    CLASSES,
    'hook',
    0,
    'XOFF when a class holds more than this many bytes',
    'RTH 18:5, FCEN 31',
  ),
  one(
    'FCRTV',
    FCRTV,
    'hook',
    0,
    'XOFF is sent again when this much of its time is left',
    'REFRESH 15:0',
  ),
  one('FCCFG', FCCFG, 'hook', 0, 'Sends pause frames', 'TFCE 4:3 (1: 802.3x, 2: priority)'),
  one(
    'MFLCN',
    MFLCN,
    'hook',
    0,
    'Acts on pause frames, which end in the MAC; without RFCE or RPFCE they are frames as others',
    'PMCF 0 and DPF 1 (kept), RPFCE 2, RFCE 3',
  ),
];

/** Installs the hooks. */
export function wireFlowControl(fn: PciFunction): void {
  const { registers: regs, flow, split, pause } = fn;
  const port = fn.ctx.ports[fn.index];
  regs.onWrite('RTRUP2TC', (_i, value) => setClasses(split.classOf, value));
  regs.onWrite('RTTUP2TC', (_i, value) => setClasses(pause.classOf, value));
  regs.onWrite('FCTTV', (i, value) => {
    flow.timeQuanta[2 * i] = value & 0xffff;
    flow.timeQuanta[2 * i + 1] = value >>> 16;
  });
  regs.onWrite('FCRTL', (i, value) => {
    flow.lowBytes[i] = (value & FCRTL_XONE) === 0 ? -1 : value & FC_THRESHOLD_MASK;
  });
  regs.onWrite('FCRTH', (i, value) => {
    flow.highBytes[i] = (value & FCRTH_FCEN) === 0 ? Infinity : value & FC_THRESHOLD_MASK;
  });
  regs.onWrite('FCRTV', (_i, value) => {
    flow.refreshQuanta = value & 0xffff;
  });
  regs.onWrite('FCCFG', (_i, value) => {
    const isLink = (value & FCCFG_TFCE_802_3X) !== 0;
    const isPriority = (value & FCCFG_TFCE_PRIORITY) !== 0;
    flow.sendMode = isPriority ? SendMode.PRIORITY : isLink ? SendMode.LINK : SendMode.OFF;
    flow.isSending = flow.sendMode !== SendMode.OFF;
    if (!flow.isSending) flow.forget();
  });
  regs.onWrite('MFLCN', (_i, value) => {
    flow.acceptsLink = (value & MFLCN_RFCE) !== 0;
    flow.acceptsPriority = (value & MFLCN_RPFCE) !== 0;
    flow.isListening = flow.acceptsLink || flow.acceptsPriority;
    if (!flow.isListening) {
      pause.release();
      port.pause = null;
    }
  });
  pause.queueClass = (queue) => queueClass(regs.peek(MTQC), queue);
}

/** MRQC or RXPBSIZE changed: whether the receive buffer is split, and how. */
export function splitChanged(fn: PciFunction): void {
  const { registers: regs, split } = fn;
  const mode = fn.rss.mrqc & MRQC_MRQE_MASK;
  const isSplit = mode >= MRQE_DCB_FIRST && mode <= MRQE_DCB_LAST;
  for (let tc = 0; tc < CLASSES; tc++) split.limitBytes[tc] = regs.peek(RXPBSIZE(tc)) & SIZE_MASK;
  const port = fn.ctx.ports[fn.index];
  if (isSplit && port.split === null) split.begin();
  port.split = isSplit ? split : null;
}

/** Everything as after a reset. */
export function resetFlowControl(fn: PciFunction): void {
  const { flow, split, pause } = fn;
  const port = fn.ctx.ports[fn.index];
  flow.isListening = false;
  flow.isSending = false;
  flow.acceptsLink = false;
  flow.acceptsPriority = false;
  flow.sendMode = SendMode.OFF;
  flow.highBytes.fill(Infinity);
  flow.lowBytes.fill(-1);
  flow.timeQuanta.fill(0);
  flow.refreshQuanta = 0;
  flow.forget();
  split.classOf.fill(0);
  pause.classOf.fill(0);
  pause.release();
  port.pause = null;
  port.split = null;
}

function setClasses(classOf: Uint8Array, value: number): void {
  for (let up = 0; up < CLASSES; up++) classOf[up] = (value >>> (3 * up)) & 7;
}

/** Class of a transmit queue (82599 table 7-25): with eight classes 32, 32, 16, 16, 8, 8, 8, 8 queues, with four 64, 32, 16, 16. */
function queueClass(mtqc: number, queue: number): number {
  if ((mtqc & MTQC_RT_ENA) === 0) return 0;
  const isEight = (mtqc & MTQC_NUM_TC_MASK) === MTQC_8TC;
  if (!isEight) return queue < 64 ? 0 : queue < 96 ? 1 : queue < 112 ? 2 : 3;
  if (queue < 64) return queue >> 5;
  if (queue < 96) return 2 + ((queue - 64) >> 4);
  return 4 + ((queue - 96) >> 3);
}
