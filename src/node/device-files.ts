// Device profiles from files: the shipped ones by name (hw/profiles/NAME.json), a user's own by path, `extends` followed.

import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  applySetting,
  mergeProfiles,
  parseProfileText,
  validateProfile,
} from '../devices/profile-schema.ts';
import { ProfileError } from '../devices/profile.ts';
import type { DeviceProfile } from '../devices/profile.ts';
import { InputError, systemErrorText } from './errors.ts';

/** The package's own folder of profiles. */
const PROFILES = resolve(import.meta.dirname, '../../../hw/profiles');
/** Under `vitest` this file runs from src/node. */
const PROFILES_FROM_SOURCE = resolve(import.meta.dirname, '../../hw/profiles');

function profileFolder(): string {
  try {
    readdirSync(PROFILES);
    return PROFILES;
  } catch {
    return PROFILES_FROM_SOURCE;
  }
}

/** Names of the shipped profiles, sorted. */
export function deviceNames(): string[] {
  return readdirSync(profileFolder())
    .filter((name) => name.endsWith('.json'))
    .map((name) => basename(name, '.json'))
    .sort();
}

/** A shipped profile by name, or a file (a name with a slash or `.json`), with settings applied. Throws InputError. */
export function loadDevice(device: string, settings: readonly string[] = []): DeviceProfile {
  try {
    const file = fileOf(device, '.');
    let profile = validateProfile(read(file, []), isPath(device) ? device : `device ${device}`);
    for (const setting of settings) profile = applySetting(profile, setting);
    return profile;
  } catch (error) {
    if (error instanceof ProfileError) throw new InputError(error.message);
    throw error;
  }
}

function isPath(device: string): boolean {
  return device.includes('/') || device.endsWith('.json');
}

function fileOf(device: string, folder: string): string {
  if (isPath(device)) return resolve(folder, device);
  const names = deviceNames();
  if (names.includes(device)) return join(profileFolder(), `${device}.json`);
  throw new InputError(
    `no device '${device}'; there are ${names.join(', ')}, or give a .json file`,
  );
}

/** The raw profile with what it extends below it. */
function read(file: string, above: readonly string[]): Record<string, unknown> {
  if (above.includes(file)) throw new InputError(`${file}: extends itself`);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new InputError(systemErrorText(file, error));
  }
  const own = parseProfileText(text, file);
  const base = own['extends'];
  if (base === undefined) return own;
  if (typeof base !== 'string') throw new InputError(`${file}: extends: expected a device`);
  return mergeProfiles(read(fileOf(base, dirname(file)), [...above, file]), own);
}
