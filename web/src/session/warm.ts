import type { Device } from '../lib/api';

export function warm(_device: Device): void {}
