// Input messages of the `screen` channel (docs/protocol.md, section 4.2). Positions are 0…65535 across the display.

const CODE_MAX = 255;

function message(length: number): { bytes: Uint8Array<ArrayBuffer>; view: DataView } {
	const bytes = new Uint8Array(length);
	return { bytes, view: new DataView(bytes.buffer) };
}

export function move(x: number, y: number): Uint8Array<ArrayBuffer> {
	const { bytes, view } = message(5);
	view.setUint8(0, 0x01);
	view.setUint16(1, x);
	view.setUint16(3, y);
	return bytes;
}

/** @param which MouseEvent.button: 0 left, 1 middle, 2 right, 3 back, 4 forward */
export function button(which: number, down: boolean, x: number, y: number): Uint8Array<ArrayBuffer> | null {
	const number = [1, 2, 3, 8, 9][which];
	if (number === undefined) return null;
	const { bytes, view } = message(7);
	view.setUint8(0, 0x02);
	view.setUint8(1, number);
	view.setUint8(2, down ? 1 : 0);
	view.setUint16(3, x);
	view.setUint16(5, y);
	return bytes;
}

export function wheel(dx: number, dy: number): Uint8Array<ArrayBuffer> {
	const { bytes, view } = message(5);
	const clamp = (value: number) => Math.max(-32768, Math.min(32767, value));
	view.setUint8(0, 0x03);
	view.setInt16(1, clamp(dx));
	view.setInt16(3, clamp(dy));
	return bytes;
}

export function key(down: boolean, keysym: number, code = ''): Uint8Array<ArrayBuffer> {
	const name = new TextEncoder().encode(code).subarray(0, CODE_MAX);
	const { bytes, view } = message(7 + name.length);
	view.setUint8(0, 0x04);
	view.setUint8(1, down ? 1 : 0);
	view.setUint32(2, keysym);
	view.setUint8(6, name.length);
	bytes.set(name, 7);
	return bytes;
}

export function release(): Uint8Array<ArrayBuffer> {
	return new Uint8Array([0x05]);
}

/** Where in the picture a point of the page lies. @returns 0…65535 each */
export function position(point: { clientX: number; clientY: number }, box: { left: number; top: number; width: number; height: number }): [number, number] {
	const scale = (at: number, size: number) => (size > 0 ? Math.round(Math.max(0, Math.min(1, at / size)) * 65535) : 0);
	return [scale(point.clientX - box.left, box.width), scale(point.clientY - box.top, box.height)];
}

const UNITS_PER_PIXEL = 120 / 100; // browsers report about 100 pixels for one notch
const UNITS_PER_LINE = 40; // and three lines
const UNITS_PER_PAGE = 120;

/** Collects wheel movement and gives it out in whole units of 1/120 notch; fractions are kept for the next event. */
export class Wheel {
	private x = 0;
	private y = 0;

	add(event: { deltaX: number; deltaY: number; deltaMode: number }): [number, number] | null {
		const unit = [UNITS_PER_PIXEL, UNITS_PER_LINE, UNITS_PER_PAGE][event.deltaMode] ?? UNITS_PER_PIXEL;
		this.x += event.deltaX * unit;
		this.y += event.deltaY * unit;
		const [dx, dy] = [Math.trunc(this.x), Math.trunc(this.y)];
		if (dx === 0 && dy === 0) return null;
		this.x -= dx;
		this.y -= dy;
		return [dx, dy];
	}
}
