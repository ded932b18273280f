// What a scenario may ask of its device beyond what the file's own grammar says: sizes that depend on the profile. Without these
// checks the model would stop with an assertion, or a queue would stop at once.

import type { RingLimits } from '../../driver/twin/adapter.ts';
import { driverOptionsOf, nicConfigOf } from '../devices/nic-config.ts';
import type { DeviceProfile } from '../devices/profile.ts';
import { genericNic } from '../../hw/models.ts';
import type { Scenario } from './schema.ts';

/** Ethernet header and one tag: what a frame has beside the MTU. */
const LINK_HEADER_BYTES = 18;
/** Receive buffer and transmit copy of a descriptor of the reference driver, bytes. */
export const BYTES_PER_SLOT = 4096;
/** What the rings of a machine can have of its memory, bytes. */
export const RINGS_MEMORY_BYTES = 1 << 30;

/** A key of the scenario whose value does not fit the device, and what would. */
export interface DeviceFault {
  path: (string | number)[];
  message: string;
}

/** The first value of a scenario that its device cannot have; null when all fit. Throws ProfileError as nicConfigOf does. */
export function deviceFault(scenario: Scenario, profile: DeviceProfile): DeviceFault | null {
  const { device, host, ports } = scenario;
  const config = genericNic(nicConfigOf(profile));
  const { ringLimits } = driverOptionsOf(profile);
  if (device.ringSlots !== undefined && ringLimits !== undefined) {
    const expected = ringFault(device.ringSlots, ringLimits);
    if (expected !== null) return fault(profile, ['device', 'ringSlots'], expected);
    const queues = ports.length * Math.min(device.queues ?? config.queues, host.cores);
    const most = RINGS_MEMORY_BYTES / BYTES_PER_SLOT / queues;
    if (device.ringSlots > most)
      return fault(
        profile,
        ['device', 'ringSlots'],
        `at most ${Math.floor(most)}, as memory goes,`,
      );
  }
  const { flowEntries } = device;
  const { ways } = config.exactMatch;
  if (flowEntries !== undefined && !Number.isInteger(Math.log2(flowEntries / ways)))
    return fault(profile, ['device', 'flowEntries'], `${ways} times a power of two`);
  const mtuMax = config.maxFrameBytes - LINK_HEADER_BYTES;
  const index = ports.findIndex(({ mtu = 0 }) => mtu > mtuMax);
  return index < 0 ? null : fault(profile, ['ports', index, 'mtu'], `at most ${mtuMax}`);
}

function fault({ name }: DeviceProfile, path: (string | number)[], expected: string): DeviceFault {
  return { path, message: `expected ${expected} with the device ${name}` };
}

/** What sizes there are, or null for one of them. */
function ringFault(slots: number, { min, max, step }: RingLimits): string | null {
  const isStep = step === 0 ? Number.isInteger(Math.log2(slots)) : slots % step === 0;
  if (slots >= min && slots <= max && isStep) return null;
  return `${min} to ${max}, ${step === 0 ? 'a power of two' : `a multiple of ${step}`},`;
}
