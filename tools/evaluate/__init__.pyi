from .evaluating import mean_iou as mean_iou
