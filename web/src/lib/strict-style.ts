// Stands in for a <style> element made by a library: the same surface (textContent, remove), backed by an adopted
// style sheet, which style-src does not govern because no markup is parsed. See tools/strict-style.ts.
export function strictStyle(): HTMLElement {
	const element = document.createElement('template');
	const sheet = new CSSStyleSheet();
	let text = '';
	document.adoptedStyleSheets.push(sheet);
	Object.defineProperty(element, 'textContent', {
		get: () => text,
		set(value: string) {
			text = value;
			sheet.replaceSync(value);
		},
	});
	element.remove = () => {
		const at = document.adoptedStyleSheets.indexOf(sheet);
		if (at >= 0) document.adoptedStyleSheets.splice(at, 1);
		Element.prototype.remove.call(element);
	};
	return element;
}
