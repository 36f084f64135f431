/**
 * Squares of the paper that were drawn before: moving the paper then draws only what comes into sight.
 */

const TILE_PX = 384; // of the style sheet's pixels
const MAX_TILES = 72;

export class Tiles {
  /** @param {(ctx: CanvasRenderingContext2D, view: object) => void} paint draws what a view of the paper shows */
  constructor(paint) {
    this.paint = paint;
    this.tiles = new Map();
    this.key = "";
  }

  /** What was drawn does not hold any more. */
  clear() {
    this.tiles.clear();
    this.key = "";
  }

  /** Draw what a stage shows, by squares from its second drawing on. @param {CanvasRenderingContext2D} ctx @param {object} stage */
  draw(ctx, stage) {
    const { camera, ratio, width, height, plan } = stage;
    const key = `${camera.kx} ${camera.ky} ${ratio}`;
    if (key !== this.key) {
      this.clear();
      this.key = key;
      this.paint(ctx, stage); // squares take longer, and are of no use before the paper is moved
      return;
    }
    const [left, top] = [Math.round(camera.x * camera.kx * ratio), Math.round(camera.y * camera.ky * ratio)];
    const size = Math.round(TILE_PX * ratio);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    for (let row = Math.floor(top / size); row * size < top + height * ratio; row++) {
      for (let column = Math.floor(left / size); column * size < left + width * ratio; column++) {
        // nothing lies far outside the page but traces that leave it
        if ((row + 1) * size < -size || row * size > plan.height * camera.ky * ratio + size) continue;
        ctx.drawImage(this.tile(stage, column, row, size), column * size - left, row * size - top);
      }
    }
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  tile(stage, column, row, size) {
    const name = `${column} ${row}`;
    let tile = this.tiles.get(name);
    if (tile) this.tiles.delete(name); // and last again: what was used last is kept
    else {
      tile = document.createElement("canvas");
      tile.width = tile.height = size;
      const { kx, ky } = stage.camera;
      const side = size / stage.ratio;
      const view = Object.create(stage);
      view.camera = { x: (column * side) / kx, y: (row * side) / ky, kx, ky };
      view.width = view.height = side;
      const ctx = tile.getContext("2d");
      ctx.setTransform(stage.ratio, 0, 0, stage.ratio, 0, 0);
      this.paint(ctx, view);
    }
    this.tiles.set(name, tile);
    if (this.tiles.size > MAX_TILES) this.tiles.delete(this.tiles.keys().next().value);
    return tile;
  }
}
