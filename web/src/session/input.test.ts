import { describe, expect, it } from 'vitest';
import { button, key, move, position, release, Wheel, wheel } from './input';

const bytes = (message: Uint8Array | null) => [...(message ?? [])];

describe('input messages', () => {
	it('are what the protocol says', () => {
		expect(bytes(move(0x1234, 0xffff))).toEqual([1, 0x12, 0x34, 0xff, 0xff]);
		expect(bytes(button(0, true, 1, 2))).toEqual([2, 1, 1, 0, 1, 0, 2]);
		expect(bytes(button(2, false, 0, 0))).toEqual([2, 3, 0, 0, 0, 0, 0]);
		expect([1, 3, 4].map((b) => bytes(button(b, true, 0, 0))[1])).toEqual([2, 8, 9]);
		expect(button(7, true, 0, 0)).toBeNull();
		expect(bytes(wheel(-120, 240))).toEqual([3, 0xff, 0x88, 0, 0xf0]);
		expect(bytes(wheel(-99999, 99999))).toEqual([3, 0x80, 0, 0x7f, 0xff]);
		expect(bytes(key(true, 0x010020ac, 'KeyE'))).toEqual([4, 1, 1, 0, 0x20, 0xac, 4, 0x4b, 0x65, 0x79, 0x45]);
		expect(bytes(key(false, 0xff0d))).toEqual([4, 0, 0, 0, 0xff, 0x0d, 0]);
		expect(key(true, 1, 'x'.repeat(400)).length).toBe(7 + 255);
		expect(bytes(release())).toEqual([5]);
	});
	it('positions are clamped to the picture', () => {
		const box = { left: 100, top: 50, width: 200, height: 100 };
		expect(position({ clientX: 100, clientY: 50 }, box)).toEqual([0, 0]);
		expect(position({ clientX: 300, clientY: 150 }, box)).toEqual([65535, 65535]);
		expect(position({ clientX: 200, clientY: 100 }, box)).toEqual([32768, 32768]);
		expect(position({ clientX: -5, clientY: 9999 }, box)).toEqual([0, 65535]);
		expect(position({ clientX: 1, clientY: 1 }, { left: 0, top: 0, width: 0, height: 0 })).toEqual([0, 0]);
	});
	it('the wheel keeps fractions', () => {
		const w = new Wheel();
		expect(w.add({ deltaX: 0, deltaY: 100, deltaMode: 0 })).toEqual([0, 120]);
		expect(w.add({ deltaX: 0, deltaY: 0.5, deltaMode: 0 })).toBeNull();
		expect(w.add({ deltaX: 0, deltaY: 0.5, deltaMode: 0 })).toEqual([0, 1]);
		expect(new Wheel().add({ deltaX: 0, deltaY: -3, deltaMode: 1 })).toEqual([0, -120]);
	});
});
