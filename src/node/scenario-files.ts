// Scenarios from files, and a bare capture in place of one: then the default scenario (fixtures/scenarios/router.yaml,
// shipped with the package) plays it.

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import process from 'node:process';
import { deviceFault } from '../scenario/device-limits.ts';
import type { DeviceFault } from '../scenario/device-limits.ts';
import { loadScenario, scenarioErrorAt, ScenarioError } from '../scenario/load.ts';
import type { Scenario } from '../scenario/schema.ts';
import { ProfileError } from '../devices/profile.ts';
import type { DeviceProfile } from '../devices/profile.ts';
import { loadDevice } from './device-files.ts';
import { InputError, systemErrorText } from './errors.ts';
import type { SourceFile } from './sources.ts';

/** The package's own folder: three levels above dist/src/node. */
const PACKAGE_ROOT = resolve(import.meta.dirname, '../../..');
export const DEFAULT_SCENARIO = join(PACKAGE_ROOT, 'fixtures/scenarios/router.yaml');

/** A scenario with everything that its file's place decides. */
export interface LoadedScenario {
  scenario: Scenario;
  /** The device that it names. */
  profile: DeviceProfile;
  /** For messages: as the user wrote it, or relative to the working directory. */
  file: string;
  /** A capture was given in place of a scenario. */
  bareCapture: boolean;
  /** Captures of the scenario (or the bare one), paths resolved. */
  sources: SourceFile[];
  /** Text of a file named in a command of the scenario, null when it cannot be read. */
  readText: (name: string) => string | null;
  /** The same for a command typed at a prompt: from the working directory, else as the scenario has it. */
  readTyped: (name: string) => string | null;
}

/** Loads a scenario; undefined is the default one, a capture file is played by the default one. */
export function loadScenarioFile(path: string | undefined): LoadedScenario {
  const bareCapture = path !== undefined && (path === '-' || looksLikeCapture(path));
  const file = path === undefined || bareCapture ? DEFAULT_SCENARIO : path;
  const shown = file === DEFAULT_SCENARIO ? relative(process.cwd(), file) || file : file;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new InputError(systemErrorText(shown, error));
  }
  const scenario = parse(text, shown);
  const folder = dirname(file);
  const inFolder = (name: string): string => (isAbsolute(name) ? name : join(folder, name));
  const sources = bareCapture
    ? [{ file: path, port: -1 }]
    : scenario.traffic.captures.map((capture) => ({
        file: inFolder(capture.file),
        port: capture.port === undefined ? -1 : portIndex(scenario, capture.port, shown),
      }));
  const { profile, fault } = profileOf(scenario, folder);
  if (fault !== null)
    throw new InputError(scenarioErrorAt(text, shown, fault.path, fault.message).message);
  return {
    scenario,
    profile,
    file: shown,
    bareCapture,
    sources,
    readText: (name) => tryRead(inFolder(name)),
    readTyped: (name) => tryRead(name) ?? tryRead(inFolder(name)),
  };
}

/** Index of a port by name; InputError names the ones there are. */
export function portIndex(scenario: Scenario, name: string, where: string): number {
  const index = scenario.ports.findIndex((port) => port.name === name);
  if (index >= 0) return index;
  const names = scenario.ports.map((port) => port.name).join(', ');
  throw new InputError(`${where}: no port '${name}'; expected one of ${names}`);
}

/**
 * The scenario's device, its path taken from the scenario's folder, and what of the scenario does not fit it. Throws InputError;
 * also for a device that cannot run.
 */
function profileOf(
  scenario: Scenario,
  folder: string,
): { profile: DeviceProfile; fault: DeviceFault | null } {
  const { profile } = scenario.device;
  const isFile = profile.includes('/') || profile.endsWith('.json');
  const loaded = loadDevice(isFile && !isAbsolute(profile) ? join(folder, profile) : profile);
  try {
    return { profile: loaded, fault: deviceFault(scenario, loaded) };
  } catch (error) {
    if (error instanceof ProfileError) throw new InputError(error.message);
    throw error;
  }
}

function parse(text: string, shown: string): Scenario {
  try {
    return loadScenario(text, shown);
  } catch (error) {
    if (error instanceof ScenarioError) throw new InputError(error.message);
    throw error;
  }
}

function tryRead(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** By the first bytes: pcap in four forms, pcapng, gzip. Anything else is taken for a scenario. */
function looksLikeCapture(path: string): boolean {
  const head = new Uint8Array(4);
  try {
    const fd = openSync(path, 'r');
    const read = readSync(fd, head, 0, 4, 0);
    closeSync(fd);
    if (read < 2) return /\.(pcap|pcapng|cap)(\.gz)?$/.test(path);
  } catch (error) {
    throw new InputError(systemErrorText(path, error));
  }
  const magic = (head[0] << 24) | (head[1] << 16) | (head[2] << 8) | head[3];
  const known = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a];
  if (known.some((one) => (one | 0) === magic)) return true;
  return (head[0] === 0x1f && head[1] === 0x8b) || /\.(pcap|pcapng|cap)(\.gz)?$/.test(path);
}
