// Downloads of the data that is stored in the page.

function buildDownloads() {
  for (const button of document.querySelectorAll("button[data-file]")) {
    button.hidden = false;
    button.addEventListener("click", () => offer(button));
  }
}

async function offer(button) {
  try {
    save(button.dataset.file, button.dataset.kind, await unpacked(button.dataset.packed));
  } catch {
    button.replaceWith("This browser cannot unpack the file: it is in the folder of this page.");
  }
}

function save(file, kind, text) {
  const link = element("a", { download: file, href: URL.createObjectURL(new Blob([text], { type: kind })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A button that copies the address of the current view.
function buildLink() {
  const button = document.getElementById("copy-link");
  if (!button || !navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy link to this view"), 2000);
  });
}
