// What tun's steps cost a core at 3.6 GHz, ps. Sources: spec/hardware.md section 5.2 for cache hits, ring and calls; where a
// step has no published figure it is counted in instructions, and the count is an assumption. All were chosen before the
// policies were compared with the claim of 37 % (docs/fidelity.md), and none was changed after.

import { PS_PER_NS } from '../../../hw/time/units.ts';

/** One cycle of the reference core (3.6 GHz), ps. */
const CYCLE_PS = 1e6 / 3600;
/** Hits in L2 and L3 of the reference core (5.2), ps. */
const L2_PS = 5.36 * PS_PER_NS;
const L3_PS = 17.45 * PS_PER_NS;
/** An indirect call on a recent kernel (5.2), ps. */
const INDIRECT_CALL_PS = 8.5 * PS_PER_NS;

/** Dissection of Ethernet, IPv4 and UDP: some 120 instructions, two a cycle (assumed), and one line of the packet from L2. */
export const DISSECT_PS = 60 * CYCLE_PS + L2_PS;
/** SipHash-2-4 of 40 bytes: 16 rounds of 14 operations, three a cycle. */
export const KEYED_HASH_PS = (16 * 14 * CYCLE_PS) / 3;
/** Toeplitz over 12 bytes: one shift, test and xor for each of 96 bits, three operations a cycle. */
export const TOEPLITZ_PS = 96 * CYCLE_PS;
/** Bucket head of the flow table: 8 KiB of heads, from L2. */
export const FLOW_BUCKET_PS = L2_PS;
/** An entry found or made: 4,096 of 64 bytes do not stay in L2, so L3. */
export const FLOW_ENTRY_PS = L3_PS;
/** Indirection table: one line from L2. */
export const INDIRECTION_PS = L2_PS;
/** Processor id and remainder: a division. */
export const CPU_ID_PS = 25 * CYCLE_PS;
/** Calling a program, then one cycle an instruction (compiled code; an assumption). */
export const PROGRAM_CALL_PS = INDIRECT_CALL_PS;
export const PROGRAM_INSN_PS = CYCLE_PS;
/** Putting a packet into a pointer ring: 15.6 to 19.8 ns (5.2), the middle. Its lock is held for that long. */
export const RING_PRODUCE_PS = 17.7 * PS_PER_NS;
/** The ring was last filled by another core: its lock and its producer's line come over through L3, the nearest they can be. */
export const RING_SWITCH_PS = 2 * L3_PS;
/** Making a packet of what a program writes: allocation (30.5 ns, 5.2) and system call (assumed 60 ns). */
export const WRITE_PS = 90.5 * PS_PER_NS;
